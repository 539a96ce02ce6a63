// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
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

// An operator puts an older copy of a member's directory back. What it acknowledged since is gone:
// it says so and ends, and its next start catches up before it votes. Started once since the copy
// was made, the two have a life of the same number.
func TestAnOlderCopyOfADirectoryIsFoundOut(t *testing.T) {
	for name, starts := range map[string]int{"StartedOnceSince": 1, "StartedTwiceSince": 2} {
		t.Run(name, func(t *testing.T) { olderCopyIsFoundOut(t, starts) })
	}
}

func olderCopyIsFoundOut(t *testing.T, starts int) {
	d := startDamaged(t)
	d.put(20)
	member := d.follower()
	older := filepath.Join(d.Home(), "older")
	d.must(member.Stop())
	d.must(os.CopyFS(older, os.DirFS(member.DataDir())))
	for i := 0; i < starts; i++ {
		d.must(member.Restart())
		d.put(10)
		d.must(member.Stop())
	}
	d.must(member.Wipe())
	d.must(os.Rename(older, member.DataDir()))
	d.must(member.Launch())
	d.must(member.WaitEnd(30 * time.Second))
	d.said(member, `is an older copy of itself`)
	d.must(member.Restart())
	d.said(member, `in doubt`)
	d.put(10)
	d.whole()
	d.said(member, `lacks no entry that was committed`)
}

// wipedBeforeItVotes ends a member as soon as it knows who it is, each time in an empty directory,
// until that came before its promotion. Wiped once more it votes in the end.
func (d *damaged) wipedBeforeItVotes(rig *Rig, member *launcher.Member) {
	d.t.Helper()
	for round := 0; round < 10; round++ {
		d.must(member.Wipe())
		d.must(member.Launch())
		d.said(member, ` is member `)
		d.must(member.Kill9())
		registered, err := rig.Registered(within(d.t, 30*time.Second), member)
		d.must(err)
		if registered.IsLearner {
			d.must(member.Wipe())
			d.must(member.Restart())
			d.must(rig.WaitVoters(within(d.t, time.Minute), d.Members))
			d.whole()
			return
		}
	}
	d.t.Fatalf("%s always votes before it can be killed", member.Name)
}

// Its directory is lost once more before it votes again.
func TestAMemberWipedTwiceVotesInTheEnd(t *testing.T) {
	d := startDamaged(t)
	rig := &Rig{Cluster: d.Cluster}
	d.put(20)
	member := d.follower()
	d.must(member.Kill9())
	d.wipedBeforeItVotes(rig, member)
}

// It was added as a voter, and its directory is lost before it has ever voted.
func TestAMemberWipedBeforeItVotesVotesInTheEnd(t *testing.T) {
	d := startDamaged(t)
	rig := &Rig{Cluster: d.Cluster}
	d.put(20)
	member, err := d.Extend(launcher.Place{})
	d.must(err)
	d.must(untilDone(within(t, time.Minute), func(ctx context.Context) error {
		return rig.Ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.MemberAdd(ctx, []string{member.PeerURL})
			return err
		})
	}))
	d.wipedBeforeItVotes(rig, member)
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

// Nobody reads what the server says, and the pipe is full before it says anything: it serves all
// the same (etcd#22214: every linearizable read hung while the health check was green).
func TestALogThatNobodyReadsHoldsUpNothing(t *testing.T) {
	reads, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	defer writes.Close()
	_ = writes.SetWriteDeadline(time.Now().Add(time.Second))
	for err == nil {
		_, err = writes.Write(make([]byte, 4096))
	}
	urls := make([]string, 2)
	for i := range urls {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		urls[i] = "http://" + listener.Addr().String()
		listener.Close()
	}
	server := exec.Command(os.Getenv(launcher.ServerVariable),
		"--name=mute", "--data-dir="+t.TempDir()+"/d",
		"--listen-client-urls="+urls[0], "--advertise-client-urls="+urls[0],
		"--listen-peer-urls="+urls[1], "--initial-advertise-peer-urls="+urls[1],
		"--initial-cluster=mute="+urls[1])
	server.Stderr = writes
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	client, err := launcher.Connect(strings.TrimPrefix(urls[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, key := range []string{"a", "b"} {
		err := untilDone(within(t, 20*time.Second), func(ctx context.Context) error {
			if _, err := client.Put(ctx, key, "1"); err != nil {
				return err
			}
			_, err := client.Get(ctx, key)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
