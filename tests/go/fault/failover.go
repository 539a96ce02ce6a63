// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// FailoverOptions say what MeasureFailover does.
type FailoverOptions struct {
	Servers map[string]string // name -> binary
	Order   []string          // the names, as they are to be run
	Flags   []string          // for every member of every cluster
	Kinds   []string
	Rounds  int
}

// A way for a leader to stop serving, and how the member is made whole again.
type failure struct {
	name   string
	words  string
	begin  func(*Rig, int) error
	mend   func(*Rig, int) error
	target time.Duration
}

func restart(c *Rig, i int) error { return c.Member(i).Restart() }
func heal(c *Rig, i int) error    { return c.network.HealAll() }

var failures = []failure{
	{"kill", "kill -9", func(c *Rig, i int) error { return c.Member(i).Kill9() },
		restart, 600 * time.Millisecond},
	{"term", "SIGTERM", func(c *Rig, i int) error { return c.Member(i).Stop() },
		restart, 50 * time.Millisecond},
	{"stop", "SIGSTOP", func(c *Rig, i int) error { return c.Member(i).Pause() },
		func(c *Rig, i int) error { return c.Member(i).Resume() }, time.Second},
	{"isolated", "isolated", func(c *Rig, i int) error { return c.network.Isolate(i) },
		heal, time.Second},
	{"deaf", "deaf", func(c *Rig, i int) error { return c.network.Deafen(i) },
		heal, time.Second},
	{"frozen", "frozen disk", func(c *Rig, i int) error { return c.disks[i].Freeze() },
		func(c *Rig, i int) error { return c.disks[i].Thaw() }, time.Second},
}

// FailureNames are the kinds that there are.
func FailureNames() []string {
	var names []string
	for _, failure := range failures {
		names = append(names, failure.name)
	}
	return names
}

// MeasureFailover prints, for each server and way to fail, how long no write was acknowledged,
// all clients of all members together. It returns whether all of `datum`'s targets are held.
func MeasureFailover(options FailoverOptions) (bool, error) {
	good := true
	fmt.Printf("%-8s %-12s %6s %9s %9s %9s   %s\n", "server", "the leader", "rounds", "median",
		"worst", "target", "each, in ms")
	for _, failure := range failures {
		if !slices.Contains(options.Kinds, failure.name) {
			continue
		}
		for _, name := range options.Order {
			gaps, err := measure(failure, options.Servers[name], options)
			if err != nil {
				return false, fmt.Errorf("%s, %s: %w", name, failure.words, err)
			}
			good = report(name, failure, gaps) && good
		}
	}
	return good, nil
}

func report(server string, failure failure, gaps []time.Duration) bool {
	var each []string
	for _, gap := range gaps {
		each = append(each, fmt.Sprint(gap.Milliseconds()))
	}
	slices.Sort(gaps)
	median := gaps[len(gaps)/2]
	verdict := true
	target := ""
	if server == "datum" {
		target = failure.target.String()
		if verdict = median <= failure.target; !verdict {
			target += " MISSED"
		}
	}
	fmt.Printf("%-8s %-12s %6d %9s %9s %9s   %s\n", server, failure.words, len(gaps),
		median.Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond), target,
		strings.Join(each, " "))
	return verdict
}

func measure(failure failure, binary string, options FailoverOptions) ([]time.Duration, error) {
	// Each member has its own namespace and disk, whatever fails: all kinds are measured alike.
	cluster, err := NewRig(binary, false, options.Flags...)
	if err != nil {
		return nil, err
	}
	defer cluster.End()
	load, err := StartLoad(cluster.Cluster, 4, 10*time.Millisecond)
	if err != nil {
		return nil, err
	}
	defer load.Stop()
	time.Sleep(2 * time.Second)
	var gaps []time.Duration
	for round := 0; round < options.Rounds; round++ {
		gap, err := oneRound(cluster, load, failure)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
		gaps = append(gaps, gap)
	}
	return gaps, nil
}

func oneRound(cluster *Rig, load *Load, failure failure) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	leader, err := cluster.Leader(ctx)
	if err != nil {
		return 0, err
	}
	number := slices.Index(cluster.Members, leader)
	began := time.Now()
	if err := failure.begin(cluster, number); err != nil {
		return 0, err
	}
	time.Sleep(4*time.Second - time.Since(began))
	gap := load.LongestGap(began)
	if err := failure.mend(cluster, number); err != nil {
		return 0, err
	}
	// The member catches up and the cluster comes to rest before the next round.
	if err := level(ctx, cluster.Cluster); err != nil {
		return 0, err
	}
	time.Sleep(1500 * time.Millisecond)
	return gap, nil
}
