// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"datum.dev/tests/launcher"
)

// Go's concurrency package, which queues by itself with leases and watches, while a member is
// killed and comes back: each part of it has a kill of its own.
func TestConcurrencyPackage(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 150*time.Second)
	t.Run("mutex", func(t *testing.T) { mutexes(t, ctx, cluster) })
	t.Run("election", func(t *testing.T) { elections(t, ctx, cluster) })
	t.Run("stm", func(t *testing.T) { transfers(t, ctx, cluster) })
}

// progress is what workers have done, with a kill of the leader in the middle.
type progress struct {
	done   atomic.Int64
	killed chan struct{} // closed when the member that was killed serves again, or is given up
	enough int64
}

// killAmid kills the leader once `enough` is done and restarts it.
func killAmid(t *testing.T, ctx context.Context, cluster *launcher.Cluster, enough int64) *progress {
	p := &progress{killed: make(chan struct{}), enough: enough}
	go func() {
		defer close(p.killed)
		for p.done.Load() < enough && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		leader, err := cluster.Leader(ctx)
		if err == nil {
			err = leader.Restart() // by kill -9
		}
		if err != nil {
			t.Error(err)
		}
		p.enough = p.done.Load() + enough
	}()
	return p
}

// over: as much as was done before the kill was done after the restart.
func (p *progress) over(ctx context.Context) bool {
	select {
	case <-p.killed:
		return p.done.Load() >= p.enough || ctx.Err() != nil
	default:
		return ctx.Err() != nil
	}
}

// check says whether there was an end before the time was over.
func (p *progress) check(t *testing.T, ctx context.Context) {
	t.Helper()
	<-p.killed
	t.Logf("%d in all", p.done.Load())
	if ctx.Err() != nil {
		t.Fatalf("%d are done of %d", p.done.Load(), p.enough)
	}
}

func sessionsOf(t *testing.T, client *clientv3.Client, n int) []*concurrency.Session {
	t.Helper()
	sessions := make([]*concurrency.Session, n)
	for i := range sessions {
		session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
		if err != nil {
			t.Fatal(err)
		}
		sessions[i] = session
	}
	return sessions
}

// again tries until it is done or the time is over: the leader may have been killed just then.
func again(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Eight sessions count under a lock; no count is lost.
func mutexes(t *testing.T, ctx context.Context, cluster *launcher.Cluster) {
	client := connect(t, cluster.Endpoints()...)
	sessions := sessionsOf(t, client, 8)
	progress := killAmid(t, ctx, cluster, 100)
	count, inside := int64(0), 0
	var group sync.WaitGroup
	for _, session := range sessions {
		group.Add(1)
		go func() {
			defer group.Done()
			defer session.Close()
			mutex := concurrency.NewMutex(session, "mutex")
			for !progress.over(ctx) {
				if err := again(ctx, mutex.Lock); err != nil {
					t.Error(err)
					return
				}
				inside++ // a race, and found by the race detector too, if two are here
				if inside != 1 {
					t.Error("two hold the lock")
				}
				count++
				inside--
				progress.done.Add(1)
				if err := again(ctx, mutex.Unlock); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	progress.check(t, ctx)
	if count != progress.done.Load() {
		t.Fatalf("%d of %d", count, progress.done.Load())
	}
}

// Four sessions are elected in turn, each term with a value of its own; no two lead at once, and
// an observer sees who was elected, in order.
func elections(t *testing.T, ctx context.Context, cluster *launcher.Cluster) {
	client := connect(t, cluster.Endpoints()...)
	sessions := sessionsOf(t, client, 4)
	progress := killAmid(t, ctx, cluster, 40)
	observed := observe(ctx, t, sessions[0], progress)
	var leading atomic.Int64
	var group sync.WaitGroup
	for number, session := range sessions {
		group.Add(1)
		go func() {
			defer group.Done()
			// A Resign whose answer was lost does nothing when it is tried again.
			defer session.Close()
			election := concurrency.NewElection(session, "election")
			for term := 0; !progress.over(ctx); term++ {
				name := fmt.Sprintf("%d/%d", number, term)
				if err := again(ctx, func(ctx context.Context) error {
					return election.Campaign(ctx, name)
				}); err != nil {
					t.Error(err)
					return
				}
				if leading.Add(1) != 1 {
					t.Error("two lead")
				}
				progress.done.Add(1)
				time.Sleep(time.Millisecond)
				leading.Add(-1)
				if err := again(ctx, election.Resign); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	progress.check(t, ctx)
	if seen := <-observed; seen == 0 {
		t.Error("the observer saw nobody")
	}
}

// observe counts the leaders that an observer is told of, which come in the order in which they
// queued, until progress is over.
func observe(ctx context.Context, t *testing.T, session *concurrency.Session,
	progress *progress) <-chan int {
	counted := make(chan int, 1)
	go func() {
		seen, revision := 0, int64(0)
		defer func() { counted <- seen }()
		for !progress.over(ctx) {
			// It ends with an error of its watch, and is begun again.
			some, cancel := context.WithTimeout(ctx, time.Second)
			for got := range concurrency.NewElection(session, "election").Observe(some) {
				if got.Kvs[0].CreateRevision < revision {
					t.Errorf("after %d came %v", revision, got.Kvs[0])
				}
				revision = got.Kvs[0].CreateRevision
				seen++
			}
			cancel()
		}
	}()
	return counted
}

// Money goes from account to account, and none is lost or made.
func transfers(t *testing.T, ctx context.Context, cluster *launcher.Cluster) {
	const accounts, workers = 5, 5
	client := connect(t, cluster.Endpoints()...)
	name := func(account int) string { return fmt.Sprintf("account/%d", account%accounts) }
	for account := 0; account < accounts; account++ {
		if _, err := client.Put(ctx, name(account), "100"); err != nil {
			t.Fatal(err)
		}
	}
	progress := killAmid(t, ctx, cluster, 100)
	var group sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; !progress.over(ctx); n++ {
				_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
					from, to := name(worker+n), name(worker+2*n+1)
					if from == to {
						return nil
					}
					has, _ := strconv.Atoi(stm.Get(from))
					gets, _ := strconv.Atoi(stm.Get(to))
					stm.Put(from, strconv.Itoa(has-1))
					stm.Put(to, strconv.Itoa(gets+1))
					return nil
				}, concurrency.WithAbortContext(ctx))
				if err != nil {
					// A snapshot read on a member that is not there yet, as with etcd; or its end is
					// unknown. A Txn is whole or not at all.
					t.Logf("one was given up: %v", err)
					time.Sleep(50 * time.Millisecond)
					continue
				}
				progress.done.Add(1)
			}
		}()
	}
	group.Wait()
	progress.check(t, ctx)
	sum := 0
	for account := 0; account < accounts; account++ {
		got, err := client.Get(ctx, name(account))
		if err != nil {
			t.Fatal(err)
		}
		value, _ := strconv.Atoi(string(got.Kvs[0].Value))
		sum += value
	}
	if sum != accounts*100 {
		t.Fatalf("%d of %d", sum, accounts*100)
	}
}
