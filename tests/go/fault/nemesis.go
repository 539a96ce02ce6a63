// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"datum.dev/tests/launcher"
	"datum.dev/tests/linearizability"
)

// NemesisOptions say what RunNemesis does.
type NemesisOptions struct {
	Binary string
	Flags  []string
	Length time.Duration
	Seed   uint64
	Local  bool     // no namespaces, no disks: needs no root
	Only   []string // the faults that may come; none = all that can
	// Members keep hardly any log and much is written: who comes back is sent a state.
	ShortLog bool
	// Plants a bug: clients read what the member has, without asking the leader.
	StaleReads bool
	Print      func(format string, arguments ...any)
}

const (
	nemesisClients = 15
	keysOfARound   = 6
	// The heaviest that a client asks: the machine has faults to carry out too.
	pauseOfAClient = 2 * time.Millisecond
	// Longer than an operation of the round before can take.
	settled          = clientPatience + time.Second
	clientPatience   = 3 * time.Second
	wholeWithin      = 30 * time.Second
	faultTakes       = 2 * time.Minute
	patienceOfSearch = 60 * time.Second
)

type nemesis struct {
	options  NemesisOptions
	rig      *Rig
	random   *rand.Rand
	recorder *linearizability.Recorder
	ledger   ledger

	round   atomic.Int64             // which keys the clients use
	targets atomic.Pointer[[]string] // and which members
	waiting []linearizability.Operation
	deck    []fault

	checked, unknown int
	violations       []string
}

// ledger is what was acknowledged of keys that are written once and never again.
type ledger struct {
	mutex        sync.Mutex
	acknowledged map[string]string
}

// RunNemesis breaks a cluster under load, one fault after the other, and checks each round's
// history; at the end all members must be equal, whole and without a loss. An error is a
// violation or a cluster that did not come back.
func RunNemesis(options NemesisOptions) error {
	n := &nemesis{options: options, random: rand.New(rand.NewPCG(options.Seed, 0)),
		recorder: linearizability.NewRecorder(),
		ledger:   ledger{acknowledged: map[string]string{}}}
	n.recorder.StaleReads = options.StaleReads
	options.Print("seed %d, %v", options.Seed, options.Length)
	var err error
	flags, disk := options.Flags, rigDiskMegabytes
	if options.ShortLog {
		flags, disk = append(shortLogFlags(), flags...), shortLogDiskMegabytes
	}
	if n.rig, err = newRig(options.Binary, options.Local, disk, flags...); err != nil {
		return err
	}
	defer n.rig.End()
	err = n.run()
	if err != nil {
		for _, member := range n.rig.Members {
			options.Print("the end of the log of %s:\n%s", member.Name, member.LogTail(25))
		}
	}
	return err
}

func (n *nemesis) run() error {
	n.aim()
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for i := 0; i < nemesisClients; i++ {
		clients.Add(1)
		go func() {
			defer clients.Done()
			n.client(ctx, i)
		}()
	}
	if n.options.ShortLog {
		clients.Add(1)
		go func() {
			defer clients.Done()
			n.fill(ctx)
		}()
	}
	end := time.Now().Add(n.options.Length)
	var failure error
	for failure == nil && time.Now().Before(end) {
		failure = n.oneRound()
	}
	stop()
	clients.Wait()
	if failure == nil {
		n.round.Add(2) // all that is left is of finished rounds
		n.takeAndCheck()
		failure = n.atTheEnd()
	}
	if failure == nil && n.options.ShortLog {
		failure = n.checkStates()
	}
	if failure == nil && len(n.violations) > 0 {
		failure = fmt.Errorf("%s", strings.Join(n.violations, "\n"))
	}
	return failure
}

// client asks one member at a time; when that member is gone for good, another.
func (n *nemesis) client(ctx context.Context, number int) {
	for life := uint64(0); ctx.Err() == nil; life++ {
		targets := *n.targets.Load()
		etcd, err := launcher.Connect(targets[number%len(targets)])
		if err != nil {
			return
		}
		client := n.recorder.Client(number, etcd, n.options.Seed+life, clientPatience)
		// A member that does not answer so often in a row may be gone for good.
		unanswered := 0
		for i := 0; i < 2000 && unanswered < 5 && ctx.Err() == nil; i++ {
			if client.Step(ctx, keysOf(n.round.Load())).Outcome != linearizability.Ok {
				unanswered++
			} else {
				unanswered = 0
			}
			if i%10 == 0 {
				n.ledgerPut(ctx, client, fmt.Sprintf("ledger/%02d/%03d/%04d", number, life, i))
			}
			time.Sleep(pauseOfAClient)
		}
		etcd.Close()
	}
}

func (n *nemesis) ledgerPut(ctx context.Context, client *linearizability.Client, key string) {
	put := client.Do(ctx, linearizability.Operation{Op: linearizability.Put, Key: key, Value: key})
	if put.Outcome != linearizability.Ok {
		return
	}
	n.ledger.mutex.Lock()
	defer n.ledger.mutex.Unlock()
	n.ledger.acknowledged[key] = key
}

// aim tells the clients which members there are.
func (n *nemesis) aim() {
	endpoints := n.rig.Endpoints()
	n.targets.Store(&endpoints)
}

func keysOf(round int64) []string {
	var keys []string
	for i := 0; i < keysOfARound; i++ {
		keys = append(keys, fmt.Sprintf("round/%04d/%d", round, i))
	}
	return keys
}

func (n *nemesis) oneRound() error {
	round := n.round.Add(1)
	fault := n.nextFault()
	ctx, cancel := context.WithTimeout(context.Background(), faultTakes)
	defer cancel()
	began := time.Now()
	words, mend, err := fault.begin(ctx, n.rig, n.random)
	if err != nil {
		return fmt.Errorf("round %d: %s: %w", round, fault.name, err)
	}
	stay := time.Duration(n.random.Int64N(int64(fault.longest))) + 200*time.Millisecond
	time.Sleep(stay)
	if err := mend(ctx, n.rig); err != nil {
		return fmt.Errorf("round %d: after %q: %w", round, words, err)
	}
	n.aim()
	mended := time.Now()
	whole, giveUp := context.WithTimeout(context.Background(), wholeWithin)
	defer giveUp()
	if err := n.rig.Level(whole); err != nil {
		return fmt.Errorf("round %d: after %q: not whole within %v: %w", round, words, wholeWithin, err)
	}
	back := time.Since(mended)
	time.Sleep(settled) // undisturbed, until what the round before began has ended
	verdict := n.takeAndCheck()
	n.options.Print("%3d %-42s for %4.1f s, whole after %5.0f ms; %s", round, words,
		mended.Sub(began).Seconds(), float64(back.Milliseconds()), verdict)
	return nil
}

// Every fault comes once before any comes again.
func (n *nemesis) nextFault() fault {
	if len(n.deck) == 0 {
		for _, fault := range faults {
			wanted := len(n.options.Only) == 0 || slices.Contains(n.options.Only, fault.name)
			if wanted && !(fault.needsRoot && n.options.Local) {
				n.deck = append(n.deck, fault)
			}
		}
		n.random.Shuffle(len(n.deck), func(a, b int) { n.deck[a], n.deck[b] = n.deck[b], n.deck[a] })
	}
	next := n.deck[0]
	n.deck = n.deck[1:]
	return next
}

// takeAndCheck checks the rounds of which no operation is under way any more.
func (n *nemesis) takeAndCheck() string {
	n.waiting = append(n.waiting, n.recorder.Take()...)
	current := fmt.Sprintf("round/%04d/", n.round.Load())
	var now, later []linearizability.Operation
	acknowledged, unknown := 0, 0
	for _, operation := range n.waiting {
		switch {
		case strings.HasPrefix(operation.Key, "ledger/"):
			continue // looked at in the end
		case strings.HasPrefix(operation.Key, current):
			later = append(later, operation)
			continue
		}
		now = append(now, operation)
		switch operation.Outcome {
		case linearizability.Ok:
			acknowledged++
		case linearizability.Unknown:
			unknown++
		}
	}
	n.waiting = later
	n.checked += len(now)
	n.unknown += unknown
	return n.judged(linearizability.Check(now, patienceOfSearch), now,
		fmt.Sprintf("checked %d operations, %d answered, %d unknown", len(now), acknowledged, unknown))
}

// judged keeps what is wrong, with its history in a file for check_history, and says it.
func (n *nemesis) judged(verdict linearizability.Verdict, history []linearizability.Operation,
	checked string) string {
	if verdict.Good() {
		return checked + ", linearizable"
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("history-seed%d-round%d.jsonl",
		n.options.Seed, n.round.Load()))
	_ = linearizability.WriteHistory(path, history)
	wrong := "UNDECIDED: the search of " + strings.Join(verdict.Undecided, ", ") + " did not end"
	if len(verdict.Violations) > 0 {
		wrong = "VIOLATION: " + strings.Join(verdict.Violations, "\n")
	}
	wrong = fmt.Sprintf("%s (history in %s)", wrong, path)
	n.violations = append(n.violations, wrong)
	return checked + "; " + wrong
}

func (n *nemesis) atTheEnd() error {
	ctx, cancel := context.WithTimeout(context.Background(), wholeWithin)
	defer cancel()
	held := map[string]int{}
	wrong := 0
	revision, err := CheckEqual(ctx, n.rig.Cluster, func(_, key, value string) {
		if n.ledger.acknowledged[key] == "" {
			return
		}
		held[key]++
		if value != n.ledger.acknowledged[key] {
			wrong++
		}
	})
	if err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	lost := 0
	for key := range n.ledger.acknowledged {
		if held[key] != len(n.rig.Members) {
			lost++
		}
	}
	n.options.Print("at the end: %d members equal at revision %d; %d operations checked (%d unknown); "+
		"%d acknowledged writes of the ledger, %d lost, %d wrong", len(n.rig.Members), revision,
		n.checked, n.unknown, len(n.ledger.acknowledged), lost, wrong)
	if lost+wrong > 0 {
		return fmt.Errorf("%d acknowledged writes are lost, %d are wrong", lost, wrong)
	}
	return nil
}
