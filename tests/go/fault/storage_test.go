// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// damaged is a cluster of three of which one member's disk is harmed; what was acknowledged is
// noted, and must be there in the end, on each.
type damaged struct {
	*launcher.Cluster
	t        *testing.T
	promised map[string]string
}

func startDamaged(t *testing.T, flags ...string) *damaged {
	return &damaged{Cluster: launcher.ForTest(t, 3, flags...), t: t, promised: map[string]string{}}
}

func within(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	t.Cleanup(cancel)
	return ctx
}

// put writes n new keys through whoever takes them.
func (d *damaged) put(n int) {
	d.t.Helper()
	client, err := launcher.Connect(d.Endpoints()...)
	if err != nil {
		d.t.Fatal(err)
	}
	defer client.Close()
	ctx := within(d.t, time.Minute)
	for i := 0; i < n; i++ {
		key := fmt.Sprintf("key%06d", len(d.promised))
		value := fmt.Sprintf("the value of %s is %08x", key, rand.Uint32())
		err := untilDone(ctx, func(ctx context.Context) error {
			_, err := client.Put(ctx, key, value)
			return err
		})
		if err != nil {
			d.t.Fatal(err)
		}
		d.promised[key] = value
	}
}

func (d *damaged) follower() *launcher.Member {
	d.t.Helper()
	follower, err := d.Follower(within(d.t, time.Minute))
	if err != nil {
		d.t.Fatal(err)
	}
	return follower
}

func (d *damaged) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// said fails unless the member's present process has written a line that matches.
func (d *damaged) said(member *launcher.Member, pattern string) {
	d.t.Helper()
	ctx := within(d.t, 30*time.Second)
	expression := regexp.MustCompile(pattern)
	for {
		if line := expression.FindString(member.LogOfThisProcess()); line != "" {
			d.t.Logf("%s says: %s", member.Name, line)
			return
		}
		select {
		case <-ctx.Done():
			d.t.Fatalf("%s does not say %q:\n%s", member.Name, pattern, member.LogTail(40))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// whole: within 30 s all members are equal and hold all that was acknowledged; and a leader can
// be made of the member that was harmed, which one in doubt refuses.
func (d *damaged) whole() {
	d.t.Helper()
	began := time.Now()
	held := map[string]int{}
	_, err := CheckEqual(within(d.t, wholeWithin), d.Cluster, func(_, key, value string) {
		if d.promised[key] == value {
			held[key]++
		}
	})
	d.must(err)
	for key := range d.promised {
		if held[key] != len(d.Members) {
			d.t.Fatalf("%s is right on %d of %d members", key, held[key], len(d.Members))
		}
	}
	d.t.Logf("all equal and whole after %v, without a hand", time.Since(began).Round(time.Millisecond))
}

// The other two are enough to go on while the third is away: write behind its back.
func (d *damaged) harm(member *launcher.Member, end func(*launcher.Member) error, harm func()) {
	d.t.Helper()
	d.must(end(member))
	harm()
	d.put(50)
	d.must(member.Restart())
}

// The newest segment of a member's log and how far it is filled.
func (d *damaged) newestSegment(member *launcher.Member) (string, int) {
	d.t.Helper()
	names, err := filepath.Glob(filepath.Join(member.DataDir(), "log", "*.log"))
	if err != nil || len(names) == 0 {
		d.t.Fatalf("no log in %s: %v", member.DataDir(), err)
	}
	sort.Strings(names)
	newest := names[len(names)-1]
	content, err := os.ReadFile(newest)
	d.must(err)
	return newest, len(bytes.TrimRight(content, "\x00"))
}

func (d *damaged) flip(path string, offset int) {
	d.t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	d.must(err)
	defer file.Close()
	one := make([]byte, 1)
	_, err = file.ReadAt(one, int64(offset))
	d.must(err)
	one[0] ^= 0x10
	_, err = file.WriteAt(one, int64(offset))
	d.must(err)
}

func TestAFlippedByteInTheMiddleOfTheLog(t *testing.T) {
	d := startDamaged(t)
	d.put(200)
	member := d.follower()
	var path string
	offset := 0
	d.harm(member, (*launcher.Member).Kill9, func() {
		var filled int
		path, filled = d.newestSegment(member)
		offset = filled/2/512*512 + 40
		d.flip(path, offset)
	})
	d.said(member, regexp.QuoteMeta(filepath.Base(path))+
		fmt.Sprintf(`.*offset %d: .*damaged`, offset/512*512))
	d.whole()
	kept, _ := filepath.Glob(filepath.Join(member.DataDir(), "log", "damaged-*"))
	if len(kept) != 1 {
		t.Errorf("what was damaged is not kept: %v", kept)
	}
	// Nothing of it is left: the next start finds a whole log.
	d.must(member.Restart())
	if strings.Contains(member.LogOfThisProcess(), "damaged") {
		t.Errorf("the damage is found a second time:\n%s", member.LogOfThisProcess())
	}
	d.whole()
}

func TestAFlippedByteInTheLastBatch(t *testing.T) {
	d := startDamaged(t)
	d.put(200)
	member := d.follower()
	d.harm(member, (*launcher.Member).Kill9, func() {
		path, filled := d.newestSegment(member)
		d.flip(path, filled-3) // in the last record of the last batch, which was acknowledged
	})
	d.said(member, `offset \d+: .*damaged`)
	d.whole()
}

// The end of the log is cut off, in the middle of a batch. The state lags the log after kill -9;
// after a clean end it is ahead of what is left.
func TestACutLog(t *testing.T) {
	d := startDamaged(t)
	for _, end := range []func(*launcher.Member) error{
		(*launcher.Member).Kill9, (*launcher.Member).Stop} {
		d.put(200)
		member := d.follower()
		d.harm(member, end, func() {
			path, filled := d.newestSegment(member)
			d.must(os.Truncate(path, int64(filled-50*512-100)))
		})
		d.whole()
	}
}

func TestALostLogDirectory(t *testing.T) {
	d := startDamaged(t)
	d.put(200)
	member := d.follower()
	d.harm(member, (*launcher.Member).Stop, func() {
		d.must(os.RemoveAll(filepath.Join(member.DataDir(), "log")))
	})
	d.said(member, `log.*(lost|gone|empty)`)
	d.whole()
}

func TestALostStateDirectory(t *testing.T) {
	d := startDamaged(t)
	d.put(200)
	member := d.follower()
	d.harm(member, (*launcher.Member).Stop, func() {
		states, _ := filepath.Glob(filepath.Join(member.DataDir(), "state-*"))
		if len(states) != 1 {
			t.Fatalf("states: %v", states)
		}
		d.must(os.RemoveAll(states[0]))
	})
	d.whole()
}

// What a member promised is in meta/: without it, it must not take part.
func TestALostMetaIsRefused(t *testing.T) {
	d := startDamaged(t)
	d.put(20)
	member := d.follower()
	d.must(member.Stop())
	d.must(os.RemoveAll(filepath.Join(member.DataDir(), "meta")))
	d.must(member.Launch())
	if err := member.WaitReady(20 * time.Second); err == nil {
		t.Fatal("a member without its promises serves")
	}
	d.said(member, `meta.* was lost`)
	d.put(20) // the others go on
	// The way back is that of a wiped member, or of an operator.
}

// A wrong byte in the state: never served, and the state is rebuilt.
func TestAFlippedByteInTheState(t *testing.T) {
	d := startDamaged(t)
	d.put(500)
	member := d.follower()
	wrong := ""
	d.harm(member, (*launcher.Member).Stop, func() { wrong = d.flipInState(member) })
	client, err := launcher.Connect(member.Endpoint())
	d.must(err)
	defer client.Close()
	ctx := within(t, wholeWithin)
	refused := 0
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		answer, err := client.Get(attempt, wrong, clientv3.WithSerializable())
		cancel()
		if err == nil {
			if len(answer.Kvs) != 1 || string(answer.Kvs[0].Value) != d.promised[wrong] {
				t.Fatalf("a damaged value is served: %v", answer.Kvs)
			}
			break
		}
		refused++
		if ctx.Err() != nil {
			t.Fatalf("%s never serves %s again: %v", member.Name, wrong, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("refused %d times, then right", refused)
	d.said(member, `(?i)state.*(lost|corrupt|damaged)`)
	d.whole()
}

// A file of the state is cut below the running process: RocksDB reads on in what it has mapped and
// cached, and gives short ranges without an error. Found by its length or by a
// read, whichever comes first, and replaced.
func TestACutFileOfTheState(t *testing.T) {
	d := startDamaged(t)
	d.put(500)
	member := d.follower()
	d.must(member.Stop())
	d.must(member.Restart())
	files, _ := filepath.Glob(filepath.Join(member.DataDir(), "state-*", "*.sst"))
	if len(files) == 0 {
		t.Fatal("there is no file to cut")
	}
	for _, file := range files {
		facts, err := os.Stat(file)
		d.must(err)
		d.must(os.Truncate(file, facts.Size()/2))
	}
	d.said(member, `the state of this member is lost: .*\.sst`)
	d.put(20)
	d.whole()
}

// flipInState changes a byte of a value in an .sst file and returns its key.
func (d *damaged) flipInState(member *launcher.Member) string {
	d.t.Helper()
	files, _ := filepath.Glob(filepath.Join(member.DataDir(), "state-*", "*.sst"))
	for _, file := range files {
		content, err := os.ReadFile(file)
		d.must(err)
		for key, value := range d.promised {
			if at := bytes.Index(content, []byte(value)); at >= 0 {
				d.flip(file, at+len(value)-2)
				return key
			}
		}
	}
	d.t.Fatalf("no value of ours is in %v", files)
	return ""
}

// A failed fsync, or write, of the log ends the process at once; what it said before holds.
func TestAFailingDiskEndsTheProcess(t *testing.T) {
	for order, text := range map[string]string{
		"sync-error":  `(?i)fdatasync.*(Input/output error|EIO)`,
		"write-error": `(?i)write.*(Input/output error|EIO)`,
	} {
		t.Run(order, func(t *testing.T) {
			shim, err := NewShim(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			d := startDamaged(t)
			member := d.follower()
			member.Place.Environment = shim.Environment()
			d.must(member.Restart())
			d.put(50)
			d.must(shim.Order(order))
			began := time.Now()
			d.put(50) // the other two answer
			d.must(member.WaitEnd(10 * time.Second))
			t.Logf("ended %v after the disk began to fail", time.Since(began).Round(time.Millisecond))
			d.said(member, text)
			d.must(shim.Order(""))
			d.put(50)
			d.must(member.Restart())
			d.whole()
		})
	}
}
