// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Load is clients that each begin a put every `pause`, whatever became of the one before: what
// waits for an answer does not hide that there is no service. Each is a client of one member.
type Load struct {
	cancel context.CancelFunc
	group  sync.WaitGroup

	mutex        sync.Mutex
	acknowledged []time.Time
	failed       int
}

// Puts of one client that may wait at once: beyond it, the client waits too.
const waitingPuts = 400

// StartLoad runs `each` clients on every member.
func StartLoad(cluster *launcher.Cluster, each int, pause time.Duration) (*Load, error) {
	ctx, cancel := context.WithCancel(context.Background())
	load := &Load{cancel: cancel}
	for number, member := range cluster.Members {
		for i := 0; i < each; i++ {
			client, err := launcher.Connect(member.Endpoint())
			if err != nil {
				load.Stop()
				return nil, err
			}
			load.group.Add(1)
			go func() {
				defer load.group.Done()
				load.run(ctx, client, fmt.Sprintf("load/%d/%d", number, i), pause)
			}()
		}
	}
	return load, nil
}

func (l *Load) run(ctx context.Context, client *clientv3.Client, key string, pause time.Duration) {
	defer client.Close()
	value := strings.Repeat("x", 200)
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	places := make(chan struct{}, waitingPuts)
	var puts sync.WaitGroup
	defer puts.Wait()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case <-ctx.Done():
			return
		case places <- struct{}{}:
		}
		puts.Add(1)
		go func() {
			defer puts.Done()
			patience, cancel := context.WithTimeout(ctx, 3*time.Second)
			_, err := client.Put(patience, fmt.Sprintf("%s/%04d", key, i%1000), value)
			cancel()
			l.note(err)
			<-places
		}()
	}
}

func (l *Load) note(err error) {
	now := time.Now()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err != nil {
		l.failed++
		return
	}
	l.acknowledged = append(l.acknowledged, now)
}

// Answered is how many puts were acknowledged and how many failed, so far.
func (l *Load) Answered() (acknowledged, failed int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.acknowledged), l.failed
}

// LongestGap is the longest time without an acknowledged write, of all clients together, that
// ends after `from`, up to now. What lies before is forgotten.
func (l *Load) LongestGap(from time.Time) time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	times := l.acknowledged
	sort.Slice(times, func(a, b int) bool { return times[a].Before(times[b]) })
	longest := time.Duration(0)
	for i := 1; i < len(times); i++ {
		if times[i].After(from) {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
	}
	if len(times) > 0 {
		longest = max(longest, time.Since(times[len(times)-1]))
		l.acknowledged = append([]time.Time{}, times[len(times)-1])
	}
	return longest
}

// Stop ends the clients and waits for them.
func (l *Load) Stop() {
	l.cancel()
	l.group.Wait()
}
