// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"os"
	"regexp"
	"testing"
	"time"

	"datum.dev/tests/launcher"
)

// How long the leader is killed again and again; DATUM_KILL_SECONDS makes it longer.
func killTime() time.Duration {
	if seconds, err := time.ParseDuration(os.Getenv("DATUM_KILL_SECONDS") + "s"); err == nil {
		return seconds
	}
	return 60 * time.Second
}

func deadline(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	t.Cleanup(cancel)
	return ctx
}

// 16 writers over three members; the leader is killed with -9 every 5 s and restarted.
func TestTheLeaderIsKilledAgainAndAgain(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	w := newTraffic(t, cluster)
	ctx, stop := context.WithTimeout(context.Background(), killTime())
	defer stop()
	killed := make(chan int, 1)
	go func() {
		kills := 0
		defer func() { killed <- kills }()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(4 * time.Second):
			}
			leader, err := cluster.Leader(ctx)
			if err != nil {
				return
			}
			if err := leader.Kill9(); err != nil {
				t.Error(err)
				return
			}
			kills++
			time.Sleep(time.Second)
			if err := leader.Restart(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	w.run(ctx, 16)
	t.Logf("the leader was killed %d times", <-killed)
	if err := cluster.RestartAll(); err != nil {
		t.Fatal(err)
	}
	w.check(deadline(t, time.Minute))
}

// All three at once, under load, several times.
func TestAllMembersAreKilledAtOnce(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	w := newTraffic(t, cluster)
	for round := 0; round < 3; round++ {
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		done := make(chan struct{})
		go func() { defer close(done); w.run(ctx, 16) }()
		time.Sleep(4 * time.Second)
		for _, member := range cluster.Members {
			if err := member.Kill9(); err != nil {
				t.Fatal(err)
			}
		}
		<-done
		stop()
		if err := cluster.RestartAll(); err != nil {
			t.Fatal(err)
		}
		w.check(deadline(t, time.Minute))
	}
}

var loaded = regexp.MustCompile(`term (\d+), vote (\w+), last index (\d+), applied index (\d+), revision (\d+)`)

// What a member promised is what it loads: the same vote in the same term, or a later term.
func TestTermAndVoteAreLoadedAgain(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 2*time.Minute)
	voted := map[string]map[string]string{}
	for round := 0; round < 4; round++ {
		leader, err := cluster.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.Restart(); err != nil { // a new term, most often
			t.Fatal(err)
		}
		if _, err := cluster.Leader(ctx); err != nil {
			t.Fatal(err)
		}
		for _, member := range cluster.Members {
			if err := member.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, member := range cluster.Members {
		voted[member.Name] = map[string]string{}
		found := loaded.FindAllStringSubmatch(member.Log(), -1)
		if len(found) < 5 {
			t.Fatalf("%s said only %d times what it loaded", member.Name, len(found))
		}
		lastTerm := 0
		for _, line := range found {
			term, vote := atoi(t, line[1]), line[2]
			if term < lastTerm {
				t.Errorf("%s went back from term %d to %d", member.Name, lastTerm, term)
			}
			lastTerm = term
			if before, ok := voted[member.Name][line[1]]; ok && before != "none" && before != vote {
				t.Errorf("%s voted for %s and for %s in term %s", member.Name, before, vote, line[1])
			}
			voted[member.Name][line[1]] = vote
		}
		if lastTerm == 0 {
			t.Errorf("%s never loaded a term", member.Name)
		}
	}
}
