// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"strings"
	"testing"
	"time"
)

// Two of three lose their directories while the third is paused. One of them has heard it before:
// neither founds a second cluster, though the two are a quorum of the initial members, and though
// the one that heard was started anew since.
func TestTwoWipedMembersFoundNothingBesideAPausedOne(t *testing.T) {
	d := startDamaged(t)
	d.put(20)
	survivor, first, second := d.Member(0), d.Member(1), d.Member(2)
	d.must(first.Kill9())
	d.must(second.Kill9())
	d.must(first.Wipe())
	d.must(first.Launch())
	// With the exact command, for as soon as there is a leader.
	d.said(first, `has no leader.*etcdctl member remove [0-9a-f]+ && etcdctl member add `+first.Name)
	d.must(survivor.Pause())
	d.must(first.Kill9())
	d.must(first.Launch())
	d.must(second.Wipe())
	d.must(second.Launch())
	d.said(second, `has heard a cluster that lives`)
	time.Sleep(3 * time.Second)
	for _, wiped := range []string{first.LogOfThisProcess(), second.LogOfThisProcess()} {
		if strings.Contains(wiped, "is member") {
			t.Fatalf("a second cluster was founded:\n%s", wiped)
		}
	}
	d.must(survivor.Resume())
	d.said(second, `has no leader`)
}

// Under load, again and again: SIGTERM ends with 0, whatever the threads are doing (Stop checks).
func TestSigtermEndsTheProcessCleanly(t *testing.T) {
	d := startDamaged(t)
	load, err := StartLoad(d.Cluster, 4, 5*time.Millisecond)
	d.must(err)
	defer load.Stop()
	for round := 0; round < 9; round++ {
		member := d.Member(round % 3)
		if round < 6 {
			time.Sleep(300 * time.Millisecond)
		}
		d.must(member.Stop())
		d.must(member.Restart())
	}
}
