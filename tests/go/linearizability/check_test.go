// SPDX-License-Identifier: Apache-2.0

package linearizability

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"
)

const patience = 20 * time.Second

func text(s string) *string { return &s }

func put(call, ret int64, value string) Operation {
	return Operation{Op: Put, Key: "k", Value: value, Outcome: Ok, Call: call, Return: ret}
}

func get(call, ret int64, value string) Operation {
	return Operation{Op: Get, Key: "k", Value: value, Found: value != "", Outcome: Ok,
		Call: call, Return: ret}
}

func remove(call, ret int64, seen string) Operation {
	return Operation{Op: Delete, Key: "k", Found: seen != "", Seen: text(seen), Outcome: Ok,
		Call: call, Return: ret}
}

func swapped(call, ret int64, expected, value string) Operation {
	return Operation{Op: Txn, Key: "k", Expected: expected, Value: value, Found: true, Outcome: Ok,
		Call: call, Return: ret}
}

func refused(call, ret int64, expected, value, seen string) Operation {
	return Operation{Op: Txn, Key: "k", Expected: expected, Value: value, Seen: text(seen),
		Outcome: Ok, Call: call, Return: ret}
}

func with(operation Operation, outcome string) Operation {
	operation.Outcome = outcome
	return operation
}

func at(operation Operation, revision int64) Operation {
	operation.Revision = revision
	return operation
}

func TestHandWrittenHistories(t *testing.T) {
	for name, c := range map[string]struct {
		good    bool
		history []Operation
	}{
		"nothing":             {true, nil},
		"a write and a read":  {true, []Operation{put(0, 1, "a"), get(2, 3, "a")}},
		"a read of nothing":   {true, []Operation{get(0, 1, ""), put(2, 3, "a")}},
		"concurrent, either":  {true, []Operation{put(0, 9, "a"), get(1, 2, ""), get(3, 4, "a")}},
		"a stale read":        {false, []Operation{put(0, 1, "a"), put(2, 3, "b"), get(4, 5, "a")}},
		"a lost write":        {false, []Operation{put(0, 1, "a"), get(2, 3, "")}},
		"a read goes back":    {false, []Operation{put(0, 9, "a"), get(1, 2, "a"), get(3, 4, "")}},
		"read from nowhere":   {false, []Operation{put(0, 1, "a"), get(2, 3, "b")}},
		"a failed put, read":  {false, []Operation{with(put(0, 1, "a"), Fail), get(2, 3, "a")}},
		"a failed put":        {true, []Operation{with(put(0, 1, "a"), Fail), get(2, 3, "")}},
		"unknown, later":      {true, []Operation{with(put(0, 1, "a"), Unknown), get(2, 3, ""), get(4, 5, "a")}},
		"unknown, never":      {true, []Operation{with(put(0, 1, "a"), Unknown), get(2, 3, "")}},
		"unknown, and undone": {false, []Operation{with(put(0, 1, "a"), Unknown), get(2, 3, "a"), get(4, 5, "")}},
		"unknown, before its call": {false,
			[]Operation{get(0, 1, "a"), with(put(2, 3, "a"), Unknown)}},
		"unknown, seen by a delete only": {true,
			[]Operation{with(put(0, 1, "a"), Unknown), remove(2, 3, "a"), get(4, 5, "")}},
		"unknown delete": {true, []Operation{put(0, 1, "a"),
			with(Operation{Op: Delete, Key: "k", Call: 2, Return: 3}, Unknown), get(4, 5, "a"), get(6, 7, "")}},
		"double apply: put again after a delete": {false, []Operation{put(0, 1, "a"),
			remove(2, 3, "a"), get(4, 5, ""), get(6, 7, "a")}},
		"double apply: overwritten, then back": {false, []Operation{put(0, 1, "a"),
			put(2, 3, "b"), get(4, 5, "b"), get(6, 7, "a")}},
		"deleted twice": {false, []Operation{put(0, 1, "a"), remove(2, 3, "a"), remove(4, 5, "a")}},
		"a delete that saw the wrong value": {false, []Operation{put(0, 1, "a"), put(2, 3, "b"),
			remove(4, 5, "a")}},
		"txn": {true, []Operation{put(0, 1, "a"), swapped(2, 3, "a", "b"), get(4, 5, "b")}},
		"txn refused": {true, []Operation{put(0, 1, "a"), refused(2, 3, "x", "b", "a"),
			get(4, 5, "a")}},
		"txn refused, its write read": {false, []Operation{put(0, 1, "a"),
			refused(2, 3, "x", "b", "a"), get(4, 5, "b")}},
		"txn refused although it holds": {false, []Operation{put(0, 1, "a"),
			refused(2, 3, "a", "b", "a")}},
		"two swaps of one value": {false, []Operation{put(0, 1, "a"), swapped(2, 9, "a", "b"),
			swapped(2, 9, "a", "c")}},
		"a lost update": {false, []Operation{put(0, 1, "a"), swapped(2, 3, "a", "b"),
			swapped(4, 5, "a", "c")}},
		"unknown txn that cannot have happened": {false, []Operation{put(0, 1, "a"),
			with(swapped(2, 3, "x", "b"), Unknown), get(4, 5, "b")}},
		"revisions go back": {false, []Operation{at(put(0, 1, "a"), 5), at(get(2, 3, "a"), 4)}},
		"a revision twice":  {false, []Operation{at(put(0, 9, "a"), 5), at(put(0, 9, "b"), 5)}},
		"revisions":         {true, []Operation{at(put(0, 1, "a"), 5), at(get(2, 3, "a"), 5)}},
	} {
		verdict := Check(c.history, patience)
		if verdict.Good() != c.good {
			t.Errorf("%s: good is %v: %v", name, verdict.Good(), verdict)
		}
	}
}

// generated is a linearizable history: each operation takes effect at one moment of its time, in
// the order of a true register; some outcomes are then forgotten.
func generated(seed uint64, clients, each int, keys []string) []Operation {
	random := rand.New(rand.NewPCG(seed, 1))
	type moment struct {
		at int64
		op Operation
	}
	var moments []moment
	number := 0
	for client := 0; client < clients; client++ {
		now := int64(0)
		for i := 0; i < each; i++ {
			call := now + random.Int64N(20) + 1
			effect := call + random.Int64N(50) + 1
			ret := effect + random.Int64N(50) + 1
			now = ret
			number++
			operation := Operation{Client: client, Call: call, Return: ret, Outcome: Ok,
				Key: keys[random.IntN(len(keys))], Value: fmt.Sprintf("v%d", number)}
			operation.Op = []string{Get, Get, Put, Txn, Delete}[random.IntN(5)]
			switch random.IntN(20) {
			case 0:
				operation.Outcome = Unknown
			case 1:
				operation.Outcome = Fail
			}
			moments = append(moments, moment{effect, operation})
		}
	}
	sort.SliceStable(moments, func(a, b int) bool { return moments[a].at < moments[b].at })
	state := map[string]value{}
	recent := map[string]string{}
	revision := int64(1)
	var history []Operation
	for _, m := range moments {
		operation := m.op
		now := state[operation.Key]
		if operation.Op == Txn {
			operation.Expected = now.what
			if random.IntN(3) == 0 {
				operation.Expected = recent[operation.Key]
			}
			if operation.Expected == "" {
				operation.Op = Put
			}
		}
		lives := operation.Outcome == Ok || operation.Outcome == Unknown && random.IntN(2) == 0
		next := now
		if lives {
			next = after(now, &operation)
		}
		answer(&operation, now)
		if lives && operation.Writes() {
			revision++
			recent[operation.Key] = now.what
		}
		state[operation.Key] = next
		operation.Revision = revision
		if operation.Outcome != Ok {
			operation.Revision, operation.Found, operation.Seen = 0, false, nil
		}
		history = append(history, operation)
	}
	return history
}

func answer(operation *Operation, now value) {
	switch operation.Op {
	case Get:
		operation.Found, operation.Value = now.there, now.what
	case Delete:
		operation.Value, operation.Found, operation.Seen = "", now.there, text(now.what)
	case Txn:
		operation.Found = now.there && now.what == operation.Expected
		if !operation.Found {
			operation.Seen = text(now.what)
		}
	}
}

// A majority away for a while leaves many writes unanswered, deletes above all stay possible for
// ever: the search ends all the same, whether the history is good or not.
func TestManyUnknownOutcomesAreSearchedToTheEnd(t *testing.T) {
	for _, good := range []bool{true, false} {
		history := []Operation{at(put(0, 1, "a"), 5)}
		for i := int64(0); i < 60; i++ {
			history = append(history,
				with(Operation{Client: int(i), Op: Delete, Key: "k", Call: 2 + i, Return: 90}, Unknown))
		}
		for i := int64(0); i < 40; i++ {
			written := fmt.Sprintf("b%d", i)
			history = append(history, at(put(100+10*i, 109+10*i, written), 10+2*i),
				at(get(100+10*i, 109+10*i, ""), 11+2*i), at(get(100+10*i, 109+10*i, written), 10+2*i))
		}
		if !good {
			history = append(history, at(get(600, 601, "a"), 99))
		}
		verdict := Check(history, patience)
		if verdict.Good() != good || len(verdict.Undecided) > 0 {
			t.Errorf("good is %v: %v", good, verdict)
		}
	}
}

// What revisions say of the order of concurrent operations is held against their values.
func TestRevisionsDecideTheOrderOfConcurrentOperations(t *testing.T) {
	history := []Operation{at(put(0, 9, "a"), 5), at(put(0, 9, "b"), 6), at(get(10, 11, "a"), 6)}
	if verdict := Check(history, patience); verdict.Good() {
		t.Errorf("b was written behind a, and a is read: %v", verdict)
	}
	history[2] = at(get(10, 11, "b"), 6)
	if verdict := Check(history, patience); !verdict.Good() {
		t.Error(verdict)
	}
}

var threeKeys = []string{"a", "b", "c"}

func TestGeneratedHistoriesAreGood(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		verdict := Check(generated(seed, 6, 100, threeKeys), patience)
		if !verdict.Good() {
			t.Fatalf("seed %d: %v", seed, verdict)
		}
	}
}

// Each kind of violation, planted into otherwise good histories at a random place, is found in
// every one of them, by the search alone (no revisions).
func TestPlantedViolationsAreFound(t *testing.T) {
	for name, plant := range map[string]func(*rand.Rand, []Operation) bool{
		"stale read":             plantStaleRead,
		"lost write":             plantLostWrite,
		"double apply":           plantDoubleApply,
		"read of a failed txn":   plantReadOfAFailedTxn,
		"reordered against time": plantReordered,
	} {
		planted := 0
		for seed := uint64(1); planted < 40 && seed < 400; seed++ {
			history := generated(seed, 6, 100, threeKeys)
			for i := range history {
				history[i].Revision = 0
			}
			if !plant(rand.New(rand.NewPCG(seed, 2)), history) {
				continue
			}
			planted++
			if verdict := Check(history, patience); len(verdict.Violations) == 0 {
				t.Errorf("%s: seed %d: not found: %v", name, seed, verdict)
			}
		}
		if planted < 40 {
			t.Errorf("%s: only planted in %d histories", name, planted)
		}
	}
}

// pick returns a random position whose operation fits, or -1.
func pick(random *rand.Rand, history []Operation, fits func(i int) bool) int {
	var all []int
	for i := range history {
		if fits(i) {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return -1
	}
	return all[random.IntN(len(all))]
}

// replacedBefore is a value of an answered put that another answered put replaced, the one behind
// the other, before operation i was asked; "" if there is none.
func replacedBefore(history []Operation, i int) string {
	for j := range history {
		old := &history[j]
		if old.Key != history[i].Key || old.Op != Put || old.Outcome != Ok {
			continue
		}
		for k := range history {
			newer := &history[k]
			if newer.Key == old.Key && newer.Op == Put && newer.Outcome == Ok &&
				newer.Call > old.Return && newer.Return < history[i].Call {
				return old.Value
			}
		}
	}
	return ""
}

func plantStaleRead(random *rand.Rand, history []Operation) bool {
	i := pick(random, history, func(i int) bool {
		return history[i].Op == Get && history[i].Outcome == Ok && replacedBefore(history, i) != ""
	})
	if i < 0 {
		return false
	}
	history[i].Found, history[i].Value = true, replacedBefore(history, i)
	return true
}

// The put was answered, and whoever read it read what was there before.
func plantLostWrite(random *rand.Rand, history []Operation) bool {
	i := pick(random, history, func(i int) bool {
		return history[i].Op == Get && history[i].Outcome == Ok && history[i].Found &&
			onlyAnsweredWriterLongAgo(history, i)
	})
	if i < 0 {
		return false
	}
	history[i].Found, history[i].Value = false, ""
	return true
}

// The value that i read was written, by an answered put, before i was asked, and no delete of
// the key can explain that it is gone.
func onlyAnsweredWriterLongAgo(history []Operation, i int) bool {
	wrote := int64(-1)
	for j := range history {
		if history[j].Op == Put && history[j].Outcome == Ok && history[j].Value == history[i].Value &&
			history[j].Return < history[i].Call {
			wrote = history[j].Call
		}
	}
	if wrote < 0 {
		return false
	}
	for j := range history {
		other := &history[j]
		if other.Key == history[i].Key && other.Op == Delete && other.Outcome != Fail &&
			(other.Outcome == Unknown || other.Return > wrote) && other.Call < history[i].Return {
			return false
		}
	}
	return true
}

// A put takes its effect a second time, behind a later write.
func plantDoubleApply(random *rand.Rand, history []Operation) bool {
	i := pick(random, history, func(i int) bool {
		return history[i].Op == Get && history[i].Outcome == Ok && replacedBefore(history, i) != "" &&
			history[i].Value != replacedBefore(history, i)
	})
	if i < 0 {
		return false
	}
	again := replacedBefore(history, i)
	key, from := history[i].Key, history[i].Call
	for j := range history { // everybody sees it from now on, until the next write
		if history[j].Key == key && history[j].Call >= from && history[j].Op == Get &&
			history[j].Outcome == Ok && history[j].Value == history[i].Value && j != i {
			history[j].Found, history[j].Value = true, again
		}
	}
	history[i].Found, history[i].Value = true, again
	return true
}

func plantReadOfAFailedTxn(random *rand.Rand, history []Operation) bool {
	i := pick(random, history, func(i int) bool {
		return history[i].Op == Txn && history[i].Outcome == Ok && !history[i].Found
	})
	if i < 0 {
		return false
	}
	j := pick(random, history, func(j int) bool {
		return history[j].Op == Get && history[j].Outcome == Ok && history[j].Key == history[i].Key
	})
	if j < 0 {
		return false
	}
	history[j].Found, history[j].Value = true, history[i].Value
	return true
}

// A read that saw a value is moved before the call of the write that wrote it.
func plantReordered(random *rand.Rand, history []Operation) bool {
	writer := func(i int) int {
		return pick(random, history, func(j int) bool {
			return (history[j].Op == Put || history[j].Op == Txn) && history[j].Value == history[i].Value &&
				history[j].Call > 4
		})
	}
	i := pick(random, history, func(i int) bool {
		return history[i].Op == Get && history[i].Outcome == Ok && history[i].Found && writer(i) >= 0
	})
	if i < 0 {
		return false
	}
	call := history[writer(i)].Call
	history[i].Call, history[i].Return = call-3, call-1
	return true
}

func TestHistoriesAreWrittenAndReadAgain(t *testing.T) {
	history := generated(7, 3, 50, threeKeys)
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := WriteHistory(path, history); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadHistory(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != len(history) {
		t.Fatalf("%d operations became %d", len(history), len(again))
	}
	for i := range history {
		if history[i].String() != again[i].String() {
			t.Fatalf("%v became %v", &history[i], &again[i])
		}
	}
	if _, err := ReadHistory(bytes.NewReader([]byte(`{"op":"steal","outcome":"ok"}`))); err == nil {
		t.Fatal("an unknown op was taken")
	}
}
