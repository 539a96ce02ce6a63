// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

const (
	checkedTTL = 3 * time.Second
	// The default of --election-timeout, twice, and two seconds (issue 5).
	lateness = 2*400*time.Millisecond + 2*time.Second
)

// checker is many sessions that hold a key each, renew it for a while and let it go, and what was
// wrong: a key that was gone while its session could be sure of it, a renewal that was
// acknowledged after that, and a key that was there too long.
type checker struct {
	cluster *launcher.Cluster

	mutex    sync.Mutex
	offences []string
	sessions int
	renewals int
	failed   int
}

func (c *checker) offend(format string, values ...any) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.offences = append(c.offences, fmt.Sprintf(format, values...))
}

func (c *checker) count(sessions, renewals, failed int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.sessions += sessions
	c.renewals += renewals
	c.failed += failed
}

// run lets `clients` hold sessions, one after the other, until the context ends.
func (c *checker) run(ctx context.Context, clients int) {
	var group sync.WaitGroup
	for i := 0; i < clients; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			// Its own member first, the others if that is down.
			endpoints := c.cluster.Endpoints()
			endpoints[0], endpoints[i%len(endpoints)] = endpoints[i%len(endpoints)], endpoints[0]
			client, err := launcher.Connect(endpoints...)
			if err != nil {
				c.offend("%v", err)
				return
			}
			defer client.Close()
			for number := 0; ctx.Err() == nil; number++ {
				c.session(ctx, client, fmt.Sprintf("session/%d/%d", i, number))
			}
		}()
	}
	group.Wait()
}

func (c *checker) session(ctx context.Context, client *clientv3.Client, key string) {
	// All by this clock. Until sureUntil the key must be there, as far as the session was told;
	// the last renewal that may have been noted was sent no later than lastTry.
	sent := time.Now()
	patience, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	grant, err := client.Grant(patience, int64(checkedTTL/time.Second))
	if err != nil {
		return
	}
	if _, err := client.Put(patience, key, "v", clientv3.WithLease(grant.ID)); err != nil {
		return // it may be there or not: nothing to be sure of
	}
	sureUntil, lastTry := sent.Add(checkedTTL), time.Now()
	var goneAt time.Time
	look := func() {
		patience, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		began := time.Now()
		got, err := client.Get(patience, key)
		ended := time.Now()
		switch {
		case err != nil:
		case got.Count == 0 && goneAt.IsZero():
			goneAt = ended
			if ended.Before(sureUntil) {
				c.offend("%s was gone %v early", key, sureUntil.Sub(ended))
			}
		case got.Count == 1 && began.After(lastTry.Add(checkedTTL+lateness)):
			c.offend("%s was there %v after its last renewal", key, began.Sub(lastTry))
			goneAt = ended
		}
	}
	for renewal := rand.IntN(8); renewal > 0 && goneAt.IsZero() && ctx.Err() == nil; renewal-- {
		for pause := time.Now().Add(time.Duration(200+rand.IntN(1800)) * time.Millisecond); time.Now().Before(pause); {
			look()
			time.Sleep(50 * time.Millisecond)
		}
		sent := time.Now()
		patience, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
		_, err := client.KeepAliveOnce(patience, grant.ID)
		cancel()
		lastTry = time.Now()
		if err != nil {
			c.count(0, 0, 1)
			continue
		}
		c.count(0, 1, 0)
		if !goneAt.IsZero() {
			c.offend("a renewal of %s was acknowledged after it was gone", key)
		}
		sureUntil = sent.Add(checkedTTL)
	}
	for goneAt.IsZero() && ctx.Err() == nil {
		look()
		time.Sleep(20 * time.Millisecond)
	}
	c.count(1, 0, 0)
}

// killLeaders kills the leader every five seconds, and lets it come back after one.
func killLeaders(t *testing.T, ctx context.Context, cluster *launcher.Cluster) int {
	kills := 0
	for {
		select {
		case <-ctx.Done():
			return kills
		case <-time.After(4 * time.Second):
		}
		leader, err := cluster.Leader(ctx)
		if err != nil {
			return kills
		}
		if err := leader.Kill9(); err != nil {
			t.Error(err)
		}
		kills++
		time.Sleep(time.Second)
		if err := leader.Restart(); err != nil {
			t.Error(err)
		}
	}
}

func check(t *testing.T, cluster *launcher.Cluster, duration time.Duration) *checker {
	t.Helper()
	c := &checker{cluster: cluster}
	ctx, stop := context.WithTimeout(context.Background(), duration)
	defer stop()
	kills := make(chan int, 1)
	go func() { kills <- killLeaders(t, ctx, cluster) }()
	c.run(ctx, 60)
	t.Logf("%d leaders killed, %d sessions, %d renewals acknowledged, %d not",
		<-kills, c.sessions, c.renewals, c.failed)
	return c
}

// How long leaders are killed; DATUM_KILL_SECONDS makes it longer.
func killTime() time.Duration {
	if seconds, err := time.ParseDuration(os.Getenv("DATUM_KILL_SECONDS") + "s"); err == nil {
		return seconds
	}
	return 45 * time.Second
}

func TestNoKeyIsGoneEarlyOrLate(t *testing.T) {
	c := check(t, launcher.ForTest(t, 3), killTime())
	for _, offence := range c.offences {
		t.Error(offence)
	}
	if c.sessions < 60 || c.renewals < 100 {
		t.Errorf("%d sessions and %d renewals show nothing", c.sessions, c.renewals)
	}
}

// The checker finds bugs: those that are planted in the server that DATUM_SERVER_WITH_CANARIES
// names.
func TestPlantedBugsAreFound(t *testing.T) {
	binary := os.Getenv("DATUM_SERVER_WITH_CANARIES")
	if binary == "" {
		t.Fatal("DATUM_SERVER_WITH_CANARIES is not set: it must name the server with planted bugs")
	}
	for _, bug := range []string{
		"lease-renewal-ignored", "lease-renewals-not-noted", "lease-end-not-proposed",
	} {
		t.Run(bug, func(t *testing.T) {
			place := launcher.Place{Environment: []string{"DATUM_PLANTED=" + bug}}
			cluster, err := launcher.StartWith(launcher.Options{Members: 3, Binary: binary,
				Places: []launcher.Place{place, place, place}})
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			c := check(t, cluster, 16*time.Second)
			if len(c.offences) == 0 {
				t.Fatal("not found")
			}
			t.Logf("found %d times, as: %s", len(c.offences), c.offences[0])
		})
	}
}
