// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"os"
	"strings"
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

// A minute that finds nothing would say nothing if stale reads were not found either.
func TestStaleReadsAreFound(t *testing.T) {
	err := RunNemesis(NemesisOptions{Binary: os.Getenv(launcher.ServerVariable),
		Length: 10 * time.Second, Seed: 1, Local: true, Only: []string{"pause"}, StaleReads: true,
		Print: func(string, ...any) {}})
	if err == nil || !strings.Contains(err.Error(), "no order of its") {
		t.Fatalf("not found: %v", err)
	}
}
