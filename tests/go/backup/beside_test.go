// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

const (
	writersBeside = 3
	// While a snapshot is being read slowly.
	writtenMeanwhile = 100
)

// beside is writers that go on while something else happens.
type beside struct {
	t    *testing.T
	stop context.CancelFunc
	done sync.WaitGroup
	// The newest revision that was acknowledged.
	revision atomic.Int64
}

// writeBeside lets some writers change several keys of each revision, until end.
func writeBeside(t *testing.T, client *clientv3.Client) *beside {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	b := &beside{t: t, stop: stop}
	for writer := range uint64(writersBeside) {
		b.done.Add(1)
		go func() {
			defer b.done.Done()
			random := rand.New(rand.NewPCG(3, writer))
			for i := 0; ctx.Err() == nil; i++ {
				answer, err := client.Txn(ctx).Then(someChanges(random, i)...).Commit()
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				for now := b.revision.Load(); now < answer.Header.Revision; now = b.revision.Load() {
					b.revision.CompareAndSwap(now, answer.Header.Revision)
				}
			}
		}()
	}
	t.Cleanup(b.end)
	return b
}

func someChanges(random *rand.Rand, i int) []clientv3.Op {
	var changes []clientv3.Op
	for j, first := 0, random.IntN(500); j < 5; j++ {
		key := fmt.Sprintf("beside/%03d", (first+j)%500)
		if random.IntN(4) == 0 {
			changes = append(changes, clientv3.OpDelete(key))
		} else {
			changes = append(changes, clientv3.OpPut(key, fmt.Sprint(i, strings.Repeat("v", random.IntN(300)))))
		}
	}
	return changes
}

// more waits until so many further revisions were written.
func (b *beside) more(revisions int64) {
	b.t.Helper()
	target, deadline := b.revision.Load()+revisions, time.Now().Add(time.Minute)
	for b.revision.Load() < target {
		if time.Now().After(deadline) {
			b.t.Fatalf("revision %d was not written in a minute", target)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *beside) end() {
	b.stop()
	b.done.Wait()
}

// saveSlowly takes a snapshot in whose middle further revisions are written.
func saveSlowly(t *testing.T, client *clientv3.Client, b *beside) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stream, err := client.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	path := filepath.Join(t.TempDir(), "slow.db")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.CopyN(file, stream, 64<<10); err != nil {
		t.Fatal(err)
	}
	b.more(writtenMeanwhile)
	if _, err := io.Copy(file, stream); err != nil {
		t.Fatal(err)
	}
	return path
}

func saveByEtcdctl(t *testing.T, cluster *launcher.Cluster, member int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcdctl.db")
	output, err := exec.Command(stock(t, "etcdctl"), "--endpoints="+cluster.Endpoints()[member],
		"snapshot", "save", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

// A snapshot that is taken while others write is the store as it was at one revision.
func TestASnapshotBesideWritersIsOneRevision(t *testing.T) {
	datumctl, server := variable(t, "DATUMCTL"), variable(t, launcher.ServerVariable)
	stock(t, "etcdctl") // built before anybody writes
	cluster := start(t, launcher.Options{Members: 3, Binary: server})
	client := connect(t, cluster)
	fill(t, client, "k/", 3000)
	writers := writeBeside(t, client)
	type saved struct {
		file          string
		before, after int64
	}
	var all []saved
	for i := range 3 {
		writers.more(50)
		before := writers.revision.Load()
		var file string
		if i == 0 {
			file = saveSlowly(t, client, writers)
		} else {
			file = saveByEtcdctl(t, cluster, i)
		}
		all = append(all, saved{file, before, writers.revision.Load()})
	}
	writers.more(50)
	writers.end()
	for i, snapshot := range all {
		make, binary := restoredBy(datumctl, snapshot.file), server
		if i == 1 {
			make, binary = restoredBy(etcdutl(t), snapshot.file), etcd(t)
		}
		restored := connect(t, start(t, launcher.Options{Members: 1, Binary: binary, Prepare: make}))
		revision := revisionOf(t, restored)
		// Each writer may have written one that it had not heard of.
		newest := snapshot.after + writersBeside
		if i == 0 {
			newest -= writtenMeanwhile
		}
		if revision > newest {
			t.Errorf("it is of revision %d, and was taken between %d and %d", revision,
				snapshot.before, snapshot.after)
		}
		for _, at := range []int64{revision, revision - 1, revision - 25} {
			t.Logf("taken between %d and %d: revision %d: %d keys are equal", snapshot.before,
				snapshot.after, at, sameRange(t, restored, client, at))
		}
	}
}
