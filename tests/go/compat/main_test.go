// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"os"
	"testing"

	"datum.dev/tests/launcher"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, cluster := range clusters {
		cluster.Close()
	}
	os.Exit(code)
}

func serverBinary(t testing.TB) string {
	t.Helper()
	binary := os.Getenv(launcher.ServerVariable)
	if binary == "" {
		t.Fatalf("%s is not set: it must name the server's binary", launcher.ServerVariable)
	}
	return binary
}
