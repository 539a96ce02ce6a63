// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"os"
	"testing"
	"time"

	"datum.dev/tests/launcher"
)

// A minute of every fault that needs no namespaces; tools/dev fault is the long form.
func TestAMinuteOfFaults(t *testing.T) {
	err := RunNemesis(NemesisOptions{Binary: os.Getenv(launcher.ServerVariable),
		Length: time.Minute, Seed: uint64(time.Now().UnixNano() % 1_000_000), Local: true,
		Print: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
}
