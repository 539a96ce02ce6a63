// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"datum.dev/tests/launcher"
)

// putLarge writes so many values of 1.3 MB over ten keys.
func (d *damaged) putLarge(n int) {
	d.t.Helper()
	client, err := launcher.Connect(d.Endpoints()...)
	d.must(err)
	defer client.Close()
	ctx := within(d.t, 2*time.Minute)
	random := rand.NewChaCha8([32]byte{7})
	value := make([]byte, 1_300_000)
	for i := 0; i < n; i++ {
		key := fmt.Sprintf("large%d", i%10)
		_, _ = random.Read(value)
		d.must(untilDone(ctx, func(context.Context) error {
			_, err := client.Put(ctx, key, string(value))
			return err
		}))
		d.promised[key] = string(value)
	}
}

// putBeside writes new keys from now on; what it returns ends that and says how many there were.
func (d *damaged) putBeside() func() int {
	client, err := launcher.Connect(d.Endpoints()...)
	d.must(err)
	ctx, stop := context.WithCancel(within(d.t, time.Minute))
	acknowledged := make(chan []string, 1)
	go func() {
		defer client.Close()
		var keys []string
		for i := 0; ctx.Err() == nil; i++ {
			key := fmt.Sprintf("beside%06d", i)
			if _, err := client.Put(ctx, key, key); err == nil {
				keys = append(keys, key)
			}
			time.Sleep(time.Millisecond)
		}
		acknowledged <- keys
	}()
	return func() int {
		stop()
		keys := <-acknowledged
		for _, key := range keys {
			d.promised[key] = key
		}
		return len(keys)
	}
}

// lostItsBeginning waits until the first segment of a member's log is gone.
func (d *damaged) lostItsBeginning(member *launcher.Member) {
	d.t.Helper()
	ctx := within(d.t, 30*time.Second)
	first := filepath.Join(member.DataDir(), "log", "0000000000000001.log")
	d.must(untilDone(ctx, func(context.Context) error {
		names, err := filepath.Glob(first)
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("%s still has %s", member.Name, first)
		}
		return err
	}))
}

// A follower is away until the others keep no log that reaches back to it. While writes go on, it
// comes back, is sent a state, and is level.
func TestAFollowerBehindTheLogIsSentAState(t *testing.T) {
	d := startDamaged(t, shortLogFlags()...)
	d.put(50)
	away := d.follower()
	d.must(away.Kill9())
	d.putLarge(80) // more than a segment (64 MiB)
	for _, member := range d.Members {
		if member != away {
			// A clean end flushes: until then the log is all there is of what was written.
			d.must(member.Stop())
			d.must(member.Restart())
			d.lostItsBeginning(member)
		}
	}
	writtenBeside := d.putBeside()
	d.put(20)
	d.must(away.Restart())
	d.said(away, `takes a state of \d+ files`)
	d.said(away, `has taken a state that stands at entry \d+`)
	d.must(level(within(t, wholeWithin), d.Cluster))
	if n := writtenBeside(); n < 20 {
		t.Errorf("only %d writes beside", n)
	}
	sent := 0
	for _, member := range d.Members {
		sent += strings.Count(member.LogOfThisProcess(), "sends its state to ")
	}
	if sent == 0 {
		t.Error("no member says that it sends its state")
	}
	d.whole()
}
