// SPDX-License-Identifier: Apache-2.0

// Package cluster tests what a cluster of real processes keeps when members are killed.
package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A write that is not answered by then ends as unknown: it may or may not be there.
const writePatience = 3 * time.Second

// traffic is writers over all members, with what they were promised.
type traffic struct {
	t       *testing.T
	cluster *launcher.Cluster

	mutex        sync.Mutex
	acknowledged map[string]string // each key is written once
	unknown      int
	reads        int

	// The highest revision that any write was acknowledged with.
	revisionFloor atomic.Int64
	longestGap    time.Duration
	lastAnswer    time.Time
}

func newTraffic(t *testing.T, cluster *launcher.Cluster) *traffic {
	return &traffic{t: t, cluster: cluster, acknowledged: map[string]string{}}
}

// run lets `writers` write until the context ends. Writer i is a client of member i alone, so
// that every member takes writes; after each write it reads from the next member.
func (w *traffic) run(ctx context.Context, writers int) {
	w.lastAnswer = time.Now()
	var group sync.WaitGroup
	for i := 0; i < writers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			w.writer(ctx, i)
		}()
	}
	group.Wait()
}

func (w *traffic) writer(ctx context.Context, number int) {
	members := w.cluster.Members
	writeTo, err := launcher.Connect(members[number%len(members)].Endpoint())
	if err != nil {
		w.t.Error(err)
		return
	}
	defer writeTo.Close()
	readFrom, err := launcher.Connect(members[(number+1)%len(members)].Endpoint())
	if err != nil {
		w.t.Error(err)
		return
	}
	defer readFrom.Close()

	register := fmt.Sprintf("register/%02d", number)
	newest := 0 // the highest value of the register that was acknowledged or read
	for i := 1; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("write/%02d/%06d", number, i)
		value := strconv.Itoa(i)
		if w.write(ctx, writeTo, key, value, register) {
			newest = i
		}
		newest = w.read(ctx, readFrom, register, newest)
	}
}

// One transaction puts the write's own key and raises the writer's register.
func (w *traffic) write(ctx context.Context, client *clientv3.Client, key, value, register string) bool {
	patience, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	answer, err := client.Txn(patience).Then(
		clientv3.OpPut(key, value), clientv3.OpPut(register, value)).Commit()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if err != nil {
		w.unknown++
		// A member that is down refuses at once: do not spin.
		time.Sleep(time.Millisecond)
		return false
	}
	w.acknowledged[key] = value
	w.longestGap = max(w.longestGap, time.Since(w.lastAnswer))
	w.lastAnswer = time.Now()
	raise(&w.revisionFloor, answer.Header.Revision)
	return true
}

// A linearizable read sees no less than what was acknowledged, or read, before it began.
func (w *traffic) read(ctx context.Context, client *clientv3.Client, register string, newest int) int {
	floor := w.revisionFloor.Load()
	patience, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	answer, err := client.Get(patience, register)
	if err != nil {
		return newest
	}
	if answer.Header.Revision < floor {
		w.t.Errorf("a read went back in time: revision %d, but %d was acknowledged before",
			answer.Header.Revision, floor)
	}
	raise(&w.revisionFloor, answer.Header.Revision)
	got := 0
	if len(answer.Kvs) > 0 {
		got, _ = strconv.Atoi(string(answer.Kvs[0].Value))
	}
	if got < newest {
		w.t.Errorf("a read went back in time: %s is %d, but was %d before", register, got, newest)
	}
	w.mutex.Lock()
	w.reads++
	w.mutex.Unlock()
	return max(newest, got)
}

func raise(floor *atomic.Int64, to int64) {
	for {
		now := floor.Load()
		if now >= to || floor.CompareAndSwap(now, to) {
			return
		}
	}
}

// check compares what every member holds by itself with what was acknowledged.
func (w *traffic) check(ctx context.Context) {
	w.t.Helper()
	w.t.Logf("%d writes acknowledged, %d unknown, %d linearizable reads, longest gap %v",
		len(w.acknowledged), w.unknown, w.reads, w.longestGap.Round(time.Millisecond))
	if len(w.acknowledged) == 0 || w.reads == 0 {
		w.t.Fatal("no write or no read was answered: nothing was tested")
	}
	for _, member := range w.cluster.Members {
		held, err := holdings(ctx, member)
		if err != nil {
			w.t.Errorf("%s: %v", member.Name, err)
			continue
		}
		missing := 0
		for key, value := range w.acknowledged {
			if held[key] != value {
				missing++
			}
		}
		if missing > 0 {
			w.t.Errorf("%s lost %d of %d acknowledged writes", member.Name, missing, len(w.acknowledged))
		}
	}
}

// What a member holds in its own state, once it has caught up with the cluster.
func holdings(ctx context.Context, member *launcher.Member) (map[string]string, error) {
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if _, err := client.Get(ctx, "x"); err != nil { // linearizable: waits until it has caught up
		return nil, err
	}
	held := map[string]string{}
	from := "write/"
	for {
		page, err := client.Get(ctx, from, clientv3.WithRange("write0"), clientv3.WithLimit(5000),
			clientv3.WithSerializable())
		if err != nil {
			return nil, err
		}
		for _, kv := range page.Kvs {
			held[string(kv.Key)] = string(kv.Value)
			from = string(kv.Key) + "\x00"
		}
		if !page.More {
			return held, nil
		}
	}
}
