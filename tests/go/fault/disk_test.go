// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// onDisks is a cluster whose members have a disk each; it needs root for them.
func onDisks(t *testing.T, flags ...string) (*damaged, *Rig) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts disks of its own")
	}
	rig, err := NewRig(os.Getenv(launcher.ServerVariable), false, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, member := range rig.Members {
				t.Logf("the end of the log of %s:\n%s", member.Name, member.LogTail(40))
			}
		}
		rig.End()
	})
	return &damaged{Cluster: rig.Cluster, t: t, promised: map[string]string{}}, rig
}

func (d *damaged) leader() *launcher.Member {
	d.t.Helper()
	leader, err := d.Leader(within(d.t, time.Minute))
	d.must(err)
	return leader
}

// The leader's disk fills up: it hands over, the alarm is raised, puts are refused, reads and
// deletes go on; with space again all goes on, without a hand.
func TestAFullDisk(t *testing.T) {
	d, rig := onDisks(t)
	d.put(100)
	leader := d.leader()
	number := slices.Index(d.Members, leader)
	d.must(rig.disks[number].Fill(0))
	client, err := launcher.Connect(d.Endpoints()...)
	d.must(err)
	defer client.Close()

	ctx := within(t, wholeWithin)
	d.must(untilDone(ctx, func(ctx context.Context) error {
		_, err := client.Put(ctx, "refused", "while the disk is full")
		if err == nil {
			return fmt.Errorf("puts are still taken")
		}
		if strings.Contains(err.Error(), "mvcc: database space exceeded") {
			return nil
		}
		return err
	}))
	if !leader.Running() {
		t.Fatal("the member with the full disk has ended")
	}
	alarms, err := client.AlarmList(ctx)
	d.must(err)
	if len(alarms.Alarms) == 0 {
		t.Error("there is no alarm")
	}
	if d.leader() == leader {
		t.Error("the member with the full disk still leads")
	}
	if _, err := client.Get(ctx, "key000000"); err != nil {
		t.Errorf("a read is refused: %v", err)
	}
	if _, err := client.Delete(ctx, "key000000"); err != nil {
		t.Errorf("a delete is refused: %v", err)
	}
	delete(d.promised, "key000000")
	d.said(leader, `(?i)space_watch.*(NOSPACE|full|left|hands over).*`)

	d.must(rig.disks[number].Empty())
	d.must(untilDone(ctx, func(ctx context.Context) error {
		_, err := client.Put(ctx, "taken", "there is space again")
		return err
	}))
	d.must(waitNoAlarm(ctx, rig))
	d.put(20)
	d.whole()
}

// A member whose disk is full is started anew: it still knows that the alarm is its own, and clears
// it when there is space again.
func TestAFullDiskAcrossARestart(t *testing.T) {
	d, rig := onDisks(t)
	d.put(50)
	member := d.follower()
	number := slices.Index(d.Members, member)
	d.must(rig.disks[number].Fill(0))
	d.said(member, `NOSPACE alarm is raised`)
	ctx := within(t, wholeWithin)
	client, err := launcher.Connect(d.Endpoints()...)
	d.must(err)
	defer client.Close()
	d.must(untilDone(ctx, func(ctx context.Context) error {
		alarms, err := client.AlarmList(ctx)
		if err == nil && len(alarms.Alarms) == 0 {
			return fmt.Errorf("there is no alarm yet")
		}
		return err
	}))
	d.must(member.Kill9())
	d.must(rig.disks[number].Empty())
	d.must(member.Restart())
	d.must(waitNoAlarm(ctx, rig))
	d.put(20)
	d.whole()
}

// The leader's disk stands still: leadership goes to another; after 20 s the process ends, and
// with a disk that moves again it is whole.
func TestAFrozenDisk(t *testing.T) {
	d, rig := onDisks(t)
	d.put(100)
	leader := d.leader()
	number := slices.Index(d.Members, leader)
	began := time.Now()
	d.must(rig.disks[number].Freeze())
	handedOver := within(t, 20*time.Second)
	for d.leaderOfTheOthers(handedOver, leader) == nil {
		d.putOnOthers(leader, 1)
		if handedOver.Err() != nil {
			t.Fatal("a leader whose disk stands still goes on leading")
		}
	}
	t.Logf("another leads %v after the disk stopped", time.Since(began).Round(time.Millisecond))
	// A write is under way on the frozen disk, so the kernel keeps the process until it thaws.
	for time.Since(began) < 26*time.Second {
		d.putOnOthers(leader, 5)
		time.Sleep(200 * time.Millisecond)
	}
	d.said(leader, `the disk below the data directory has not finished a write for 20 s`)
	d.must(rig.disks[number].Thaw())
	d.must(leader.WaitEnd(10 * time.Second))
	d.must(leader.Restart())
	d.whole()
}

// leaderOfTheOthers is nil while `former` is what the others take for the leader.
func (d *damaged) leaderOfTheOthers(ctx context.Context, former *launcher.Member) *launcher.Member {
	for _, member := range d.Members {
		if member == former {
			continue
		}
		leads := false
		_ = askOne(ctx, member, func(ctx context.Context, client *clientv3.Client) error {
			status, err := client.Status(ctx, member.Endpoint())
			leads = err == nil && status.Leader == status.Header.MemberId
			return err
		})
		if leads {
			return member
		}
	}
	return nil
}

func (d *damaged) putOnOthers(not *launcher.Member, n int) {
	d.t.Helper()
	for _, member := range d.Members {
		if member == not {
			continue
		}
		client, err := launcher.Connect(member.Endpoint())
		d.must(err)
		for i := 0; i < n; i++ {
			key := fmt.Sprintf("key%06d", len(d.promised))
			d.must(untilDone(within(d.t, 10*time.Second), func(ctx context.Context) error {
				_, err := client.Put(ctx, key, "on another member")
				return err
			}))
			d.promised[key] = "on another member"
		}
		client.Close()
	}
}

// The power test finds a server whose syncs do nothing: else it would show nothing.
func TestAServerThatDoesNotSyncLosesWritesInAPowerCut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts disks of its own")
	}
	shim, err := NewShim(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := shim.Order("sync-lies"); err != nil {
		t.Fatal(err)
	}
	err = LosePower(PowerOptions{Binary: os.Getenv(launcher.ServerVariable), Rounds: 1, Seed: 1,
		Environment: shim.Environment(), Print: t.Logf})
	if err == nil || !strings.Contains(err.Error(), "lost") {
		t.Fatalf("not found: %v", err)
	}
	t.Log(err)
}

func TestPowerCuts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts disks of its own")
	}
	err := LosePower(PowerOptions{Binary: os.Getenv(launcher.ServerVariable), Rounds: 2, Seed: 2,
		Print: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
}
