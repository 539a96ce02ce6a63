// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// With these a member keeps only the log that its own state does not hold yet: whoever is away for
// long or comes new is sent a state.
func shortLogFlags() []string {
	return []string{"--log-reserve-bytes=1"}
}

const (
	// 2.5 MB a second: the log's segments (64 MiB) fill within half a minute, and what makes a flush
	// due (256 MiB) within two.
	fillValueBytes = 64 << 10
	fillPause      = 25 * time.Millisecond
	fillKeys       = 30
	fillKept       = 1000 // revisions
	// So long a run has wiped and added members after the first flush.
	longEnoughForStates = 10 * time.Minute
)

// fill writes large values over a few keys that nobody checks, at a bounded rate, one client of
// all members after the other.
func (n *nemesis) fill(ctx context.Context) {
	value := make([]byte, fillValueBytes)
	// What compresses would not be as large on disk as it is.
	random := rand.NewChaCha8([32]byte{1})
	ticker := time.NewTicker(fillPause)
	defer ticker.Stop()
	for number := 0; ctx.Err() == nil; number++ {
		targets := *n.targets.Load()
		client, err := launcher.Connect(targets[number%len(targets)])
		if err != nil {
			return
		}
		for i := 0; i < 400 && err == nil && ctx.Err() == nil; i++ {
			<-ticker.C
			_, _ = random.Read(value)
			patience, cancel := context.WithTimeout(ctx, clientPatience)
			_, err = client.Put(patience, fmt.Sprintf("fill/%02d", i%fillKeys), string(value))
			cancel()
		}
		compactBehind(ctx, client)
		client.Close()
	}
}

// compactBehind does what --auto-compaction would, which waits for five minutes that hardly any
// member lives here: the quota would be reached. In vain is as good: the next one comes soon.
func compactBehind(ctx context.Context, client *clientv3.Client) {
	patience, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	newest, err := client.Get(patience, "fill/00", clientv3.WithCountOnly())
	if err == nil && newest.Header.Revision > fillKept {
		_, _ = client.Compact(patience, newest.Header.Revision-fillKept)
	}
}

// states counts in the logs of all members there ever were how many states were begun to be sent,
// and how many were taken whole.
func (r *Rig) states() (begun, taken int) {
	logs, _ := filepath.Glob(filepath.Join(r.Home(), "*.log"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		begun += strings.Count(string(text), "sends its state to ")
		taken += strings.Count(string(text), "has taken a state that stands at ")
	}
	return begun, taken
}

// checkStates prints how many states went between members; a long run without one says nothing
// about that road.
func (n *nemesis) checkStates() error {
	begun, taken := n.rig.states()
	n.options.Print("%d states were begun to be sent between members, %d taken", begun, taken)
	long := n.options.Length >= longEnoughForStates && len(n.options.Only) == 0
	if long && taken == 0 {
		return fmt.Errorf("no member took a state in %v", n.options.Length)
	}
	return nil
}
