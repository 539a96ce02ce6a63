// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"datum.dev/tests/launcher"
)

func atoi(t *testing.T, text string) int {
	t.Helper()
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func put(t *testing.T, ctx context.Context, cluster *launcher.Cluster, from, to int) {
	t.Helper()
	client, err := launcher.Connect(cluster.Endpoints()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := from; i < to; i++ {
		if _, err := client.Put(ctx, fmt.Sprintf("write/00/%06d", i), strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// The newest segment of a member's Raft log and how far it is filled.
func lastSegment(t *testing.T, member *launcher.Member) (string, int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(member.DataDir(), "log", "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no log in %s: %v", member.DataDir(), err)
	}
	sort.Strings(names)
	path := names[len(names)-1]
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, len(bytes.TrimRight(content, "\x00"))
}

// The tail of the log is cut off: the member starts, and catches up with the others. Once after
// kill -9, where the state lags the log, once after a clean end, where the state is ahead of what
// is left of it.
func TestACutTailCatchesUp(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 2*time.Minute)
	for round, end := range []func(*launcher.Member) error{
		(*launcher.Member).Kill9, (*launcher.Member).Stop} {
		put(t, ctx, cluster, round*400, round*400+200)
		victim, err := cluster.Follower(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := end(victim); err != nil {
			t.Fatal(err)
		}
		put(t, ctx, cluster, round*400+200, round*400+400)
		path, filled := lastSegment(t, victim)
		if err := os.Truncate(path, int64(filled-50*512-100)); err != nil {
			t.Fatal(err)
		}
		if err := victim.Restart(); err != nil {
			t.Fatal(err)
		}
		held, err := holdings(ctx, victim)
		if err != nil {
			t.Fatal(err)
		}
		if len(held) != round*400+400 {
			t.Fatalf("round %d: %s has %d of %d datums", round, victim.Name, len(held), round*400+400)
		}
	}
}

// strace on every member: one fdatasync a batch, on the log and on nothing else.
func TestOneSyncABatch(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("this test needs strace (Debian package strace)")
	}
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, time.Minute)
	put(t, ctx, cluster, 0, 1)
	time.Sleep(time.Second) // the spare segment is made beside; it is not on the write path

	traces := make([]string, len(cluster.Members))
	var tracers []*exec.Cmd
	for i, member := range cluster.Members {
		traces[i] = filepath.Join(t.TempDir(), member.Name+".strace")
		tracer := exec.Command("strace", "-f", "-y", "-e", "trace=fsync,fdatasync,sync_file_range,msync",
			"-o", traces[i], "-p", strconv.Itoa(member.Pid()))
		if err := tracer.Start(); err != nil {
			t.Fatal(err)
		}
		tracers = append(tracers, tracer)
	}
	time.Sleep(time.Second)
	const puts = 100
	put(t, ctx, cluster, 1, 1+puts)
	time.Sleep(200 * time.Millisecond)
	for _, tracer := range tracers {
		_ = tracer.Process.Signal(syscall.SIGINT)
		_ = tracer.Wait()
	}
	for i, member := range cluster.Members {
		trace, err := os.ReadFile(traces[i])
		if err != nil {
			t.Fatal(err)
		}
		onLog, elsewhere := 0, []string{}
		for _, line := range strings.Split(string(trace), "\n") {
			switch {
			case !strings.Contains(line, "sync") || strings.Contains(line, "resumed"):
			case strings.Contains(line, "fdatasync") && strings.Contains(line, "/log/"):
				onLog++
			default:
				elsewhere = append(elsewhere, line)
			}
		}
		t.Logf("%s: %d puts one after the other, %d fdatasync on the log", member.Name, puts, onLog)
		if len(elsewhere) > 0 {
			t.Errorf("%s syncs beside the log: %s", member.Name, strings.Join(elsewhere, "\n"))
		}
		if onLog > puts+10 || onLog < puts/2 {
			t.Errorf("%s: %d fdatasync for %d puts", member.Name, onLog, puts)
		}
	}
}
