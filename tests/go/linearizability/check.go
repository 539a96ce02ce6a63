// SPDX-License-Identifier: Apache-2.0

package linearizability

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what Check found.
type Verdict struct {
	Operations int
	Keys       int
	// Violations, each in words; none = every key's history is linearizable.
	Violations []string
	// Keys whose search did not end in the time given: nothing is known about them.
	Undecided []string
}

// Good says that everything was checked and nothing is wrong.
func (v *Verdict) Good() bool { return len(v.Violations) == 0 && len(v.Undecided) == 0 }

// Check looks for an order of each key's operations that explains all answers (porcupine), and
// that revisions agree with real time over all keys. patience is for each key.
func Check(history []Operation, patience time.Duration) Verdict {
	verdict := Verdict{Operations: len(history)}
	verdict.Violations = append(verdict.Violations, checkRevisions(history)...)
	byKey := map[string][]Operation{}
	for _, operation := range history {
		byKey[operation.Key] = append(byKey[operation.Key], operation)
	}
	keys := make([]string, 0, len(byKey))
	for key := range byKey {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	verdict.Keys = len(keys)
	for _, key := range keys {
		operations := forSearch(byKey[key])
		switch porcupine.CheckOperationsTimeout(register, operations, patience) {
		case porcupine.Illegal:
			verdict.Violations = append(verdict.Violations, fmt.Sprintf(
				"key %q: no order of its %d operations explains the answers", key, len(operations)))
		case porcupine.Unknown:
			verdict.Undecided = append(verdict.Undecided, key)
		}
	}
	return verdict
}

// What one key holds.
type value struct {
	there bool
	what  string
}

// What the search knows on its way, beside the value. Both follow from which operations are
// behind it, so that nothing is searched twice for their sake.
type state struct {
	value
	// Of the last answer: revisions are in the order of the operations.
	revision int64
	// How many deletes of unknown outcome had their effect.
	deletes int
}

// input is an operation as the search sees it.
type input struct {
	*Operation
	// A delete of unknown outcome: how many such were called before it. Of two of them that may
	// both happen, the order by call loses no explanation: what the later one explains here, the
	// earlier one explains as well, and may then be absent from where it stood. Without this, n of
	// them would be 2^n ways to search.
	turn int
}

func (i input) unknownDelete() bool { return i.Op == Delete && i.Outcome == Unknown }

// register is the sequential model of one key. An operation of unknown outcome steps without
// being looked at: one that never happened can be ordered behind everything.
var register = porcupine.Model{
	Init: func() interface{} { return state{} },
	Step: func(before, asked, _ interface{}) (bool, interface{}) {
		now, operation := before.(state), asked.(input)
		next := state{after(now.value, operation.Operation), now.revision, now.deletes}
		if operation.unknownDelete() {
			next.deletes++
			return operation.turn == now.deletes, next
		}
		if operation.Outcome == Unknown {
			return true, next
		}
		if operation.Revision > 0 {
			back := operation.Revision < now.revision
			again := operation.Revision == now.revision && operation.Writes()
			if back || again {
				return false, next
			}
			next.revision = operation.Revision
		}
		return explains(now.value, operation.Operation), next
	},
	DescribeOperation: func(asked, _ interface{}) string { return asked.(input).String() },
}

func after(now value, operation *Operation) value {
	switch operation.Op {
	case Put:
		return value{true, operation.Value}
	case Delete:
		return value{}
	case Txn:
		if now.there && now.what == operation.Expected {
			return value{true, operation.Value}
		}
	}
	return now
}

// explains says whether the answer is what this state answers.
func explains(now value, operation *Operation) bool {
	switch operation.Op {
	case Get:
		return operation.Found == now.there && (!now.there || operation.Value == now.what)
	case Delete:
		return operation.Found == now.there && saw(operation, now)
	case Txn:
		held := now.there && now.what == operation.Expected
		return operation.Found == held && (held || saw(operation, now))
	}
	return true
}

func saw(operation *Operation, now value) bool {
	return operation.Seen == nil || *operation.Seen == now.what
}

// forSearch leaves out what cannot matter and gives unknown writes the longest return time that
// they can have, so that the search stays small.
func forSearch(history []Operation) []porcupine.Operation {
	firstSeen := map[string]int64{} // value -> the earliest return of one who met it
	expected := map[string]bool{}   // by a Txn of unknown outcome, whose write may have been met
	deletesTell := true
	for i := range history {
		operation := &history[i]
		if operation.Outcome != Ok {
			expected[operation.Expected] = true
			continue
		}
		for _, met := range valuesMet(operation) {
			if earlier, ok := firstSeen[met]; !ok || operation.Return < earlier {
				firstSeen[met] = operation.Return
			}
		}
		if (operation.Op == Delete && operation.Found || operation.Op == Txn && !operation.Found) &&
			operation.Seen == nil {
			deletesTell = false
		}
	}
	ordered := append([]Operation{}, history...)
	sort.SliceStable(ordered, func(a, b int) bool { return ordered[a].Call < ordered[b].Call })
	var kept []porcupine.Operation
	unknownDeletes := 0
	for i := range ordered {
		operation := &ordered[i]
		if operation.Outcome == Fail || operation.Outcome == Unknown && operation.Op == Get {
			continue
		}
		returned := operation.Return
		if operation.Outcome == Unknown {
			returned = math.MaxInt64
			if seen, ok := firstSeen[operation.Value]; ok && operation.Op != Delete {
				returned = max(seen, operation.Call)
			} else if operation.Op != Delete && deletesTell && !expected[operation.Value] {
				// Nobody met its value, and everybody who looks says what was met: with or without
				// this write, the same answers are explained.
				continue
			}
		}
		asked := input{operation, unknownDeletes}
		if asked.unknownDelete() {
			unknownDeletes++
		}
		kept = append(kept, porcupine.Operation{
			ClientId: operation.Client, Input: asked, Call: operation.Call, Return: returned})
	}
	return kept
}

func valuesMet(operation *Operation) []string {
	var met []string
	if operation.Op == Get && operation.Found {
		met = append(met, operation.Value)
	}
	if operation.Op == Txn && operation.Found {
		met = append(met, operation.Expected)
	}
	if operation.Seen != nil && *operation.Seen != "" {
		met = append(met, *operation.Seen)
	}
	return met
}

// checkRevisions: an answer that came before a question was asked has no later revision than the
// answer to that question; and each write has a revision of its own.
func checkRevisions(history []Operation) []string {
	var answered []*Operation
	for i := range history {
		if history[i].Outcome == Ok && history[i].Revision > 0 {
			answered = append(answered, &history[i])
		}
	}
	var violations []string
	writes := map[int64]*Operation{}
	for _, operation := range answered {
		if !operation.Writes() {
			continue
		}
		if other, ok := writes[operation.Revision]; ok {
			violations = append(violations,
				fmt.Sprintf("two writes at one revision: %v and %v", other, operation))
		}
		writes[operation.Revision] = operation
	}
	byReturn := append([]*Operation{}, answered...)
	sort.Slice(byReturn, func(a, b int) bool { return byReturn[a].Return < byReturn[b].Return })
	sort.Slice(answered, func(a, b int) bool { return answered[a].Call < answered[b].Call })
	next := 0
	var newest *Operation
	for _, operation := range answered {
		for next < len(byReturn) && byReturn[next].Return < operation.Call {
			if newest == nil || byReturn[next].Revision > newest.Revision {
				newest = byReturn[next]
			}
			next++
		}
		if newest == nil {
			continue
		}
		back := operation.Revision < newest.Revision
		again := operation.Revision == newest.Revision && operation.Writes()
		if back || again {
			violations = append(violations,
				fmt.Sprintf("back in time: %v was asked after %v was answered", operation, newest))
		}
	}
	return violations
}
