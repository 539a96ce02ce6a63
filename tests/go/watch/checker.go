// SPDX-License-Identifier: Apache-2.0

// Package watch holds what watchers are told against all that happened: the properties that etcd
// states for its watch, on real processes under faults.
package watch

import (
	"fmt"
	"sort"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// history is every change by its revision, as watchers of everything were told of it.
type history struct {
	mutex  sync.Mutex
	events map[int64][]*mvccpb.Event
}

func newHistory() *history { return &history{events: map[int64][]*mvccpb.Event{}} }

// add takes one whole revision; an error if it is known otherwise.
func (h *history) add(events []*mvccpb.Event) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	revision := events[0].Kv.ModRevision
	known, ok := h.events[revision]
	if !ok {
		h.events[revision] = events
		return nil
	}
	if len(known) != len(events) {
		return fmt.Errorf("revision %d has %d events here and %d there", revision, len(events), len(known))
	}
	for i := range known {
		if bare(known[i]) != bare(events[i]) {
			return fmt.Errorf("revision %d is %v here and %v there", revision, events[i], known[i])
		}
		// One member may have compacted what was before.
		if known[i].PrevKv == nil {
			known[i].PrevKv = events[i].PrevKv
		}
	}
	return nil
}

func (h *history) revisions() []int64 {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	all := make([]int64, 0, len(h.events))
	for revision := range h.events {
		all = append(all, revision)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all
}

func bare(event *mvccpb.Event) string {
	copied := mvccpb.Event{Type: event.Type, Kv: event.Kv}
	return copied.String()
}

// watcher is one who watches, over any number of streams, and what is wrong with what it was told.
type watcher struct {
	request  *etcdserverpb.WatchCreateRequest
	offences []string

	started bool
	// All below is told, or is known never to come.
	next     int64
	last     int64
	inPieces bool
	progress int64
	resumes  int
	// On this stream it was told that it has all there is.
	level bool
	// How often a compaction overtook it after it was level: it had fallen back since.
	fellBack int
	// Revisions that a compaction took: [from, to).
	gaps [][2]int64
	seen []*mvccpb.Event
	from int64
}

func (w *watcher) offend(format string, values ...any) {
	w.offences = append(w.offences, fmt.Sprintf(format, values...))
}

// resume begins a new stream: pieces of an answer that ended in the middle come again from the
// revision that was not whole.
func (w *watcher) resume() {
	w.resumes++
	if w.inPieces {
		for len(w.seen) > 0 && w.seen[len(w.seen)-1].Kv.ModRevision >= w.next {
			w.seen = w.seen[:len(w.seen)-1]
		}
		w.inPieces = false
	}
	w.last = w.next - 1
	w.level = false
}

// take is the next response. False: the watcher is gone, and goes on with resume. Nobody has asked
// yet for a compaction beyond `compacted`.
func (w *watcher) take(response *etcdserverpb.WatchResponse, compacted int64) bool {
	switch {
	case response.Created:
		if response.Canceled {
			w.offend("cancelled at once: %s", response.CancelReason)
			return false
		}
		if !w.started {
			w.started = true
			w.next = w.request.StartRevision
			if w.next == 0 {
				w.next = response.Header.Revision + 1
			}
			w.from, w.last = w.next, w.next-1
		}
	case response.Canceled:
		if response.CompactRevision == 0 {
			w.offend("cancelled without a reason: %s", response.CancelReason)
		} else if response.CompactRevision <= w.next {
			w.offend("cancelled for compaction %d, but it stood at %d", response.CompactRevision, w.next)
		} else {
			w.gaps = append(w.gaps, [2]int64{w.next, response.CompactRevision})
			w.next = response.CompactRevision
			if w.level {
				w.fellBack++
			}
		}
		return false
	case len(response.Events) == 0:
		if response.Header.Revision < w.progress {
			// Another member may be behind; that is no promise broken.
			break
		}
		w.progress = response.Header.Revision
		w.level = true
		if response.Header.Revision >= w.next {
			w.next = response.Header.Revision + 1
		}
	default:
		w.takeEvents(response, compacted)
	}
	return true
}

func (w *watcher) takeEvents(response *etcdserverpb.WatchResponse, compacted int64) {
	if response.Fragment && !w.request.Fragment {
		w.offend("pieces that nobody asked for")
	}
	for _, event := range response.Events {
		revision := event.Kv.ModRevision
		if revision < w.next {
			w.offend("%v at %d came when all below %d was told", event.Type, revision, w.next)
		}
		if revision < w.last {
			w.offend("%v at %d came after %d", event.Type, revision, w.last)
		}
		if w.request.PrevKv && event.PrevKv == nil && hasPrevious(event) && revision-1 >= compacted {
			w.offend("%v of %s at %d came without the datum before, which is not compacted", event.Type,
				event.Kv.Key, revision)
		}
		w.last = revision
		w.seen = append(w.seen, event)
	}
	w.inPieces = response.Fragment
	if !w.inPieces && w.last >= w.next {
		w.next = w.last + 1
	}
}

// A delete of what is not there is no event.
func hasPrevious(event *mvccpb.Event) bool {
	return event.Type == mvccpb.DELETE || event.Kv.Version > 1
}

func (w *watcher) wants(event *mvccpb.Event) bool {
	key, end := string(event.Kv.Key), string(w.request.RangeEnd)
	begin := string(w.request.Key)
	switch {
	case end == "" && key != begin, key < begin, end != "" && end != "\x00" && key >= end:
		return false
	}
	for _, filter := range w.request.Filters {
		if (filter == etcdserverpb.WatchCreateRequest_NOPUT) == (event.Type == mvccpb.PUT) {
			return false
		}
	}
	return true
}

func (w *watcher) compacted(revision int64) bool {
	for _, gap := range w.gaps {
		if revision >= gap[0] && revision < gap[1] {
			return true
		}
	}
	return false
}

// finish holds all that came against the history, up to where the watcher was told to be.
func (w *watcher) finish(h *history) {
	at := 0
	for _, revision := range h.revisions() {
		if revision < w.from || revision >= w.next {
			continue
		}
		for _, event := range h.events[revision] {
			if !w.wants(event) {
				continue
			}
			if at < len(w.seen) && bare(w.seen[at]) == bare(event) {
				w.checkPrevious(w.seen[at], event)
				at++
				continue
			}
			if !w.compacted(revision) {
				w.offend("%v of %s at %d never came", event.Type, event.Kv.Key, revision)
				return
			}
		}
	}
	if at < len(w.seen) {
		w.offend("what came at %d never happened, or came twice", w.seen[at].Kv.ModRevision)
	}
}

func (w *watcher) checkPrevious(seen, event *mvccpb.Event) {
	if !w.request.PrevKv {
		if seen.PrevKv != nil {
			w.offend("a datum before %d that nobody asked for", event.Kv.ModRevision)
		}
		return
	}
	if !hasPrevious(event) && (seen.PrevKv != nil || event.Kv.CreateRevision != event.Kv.ModRevision) {
		w.offend("%s was created at %d and had a datum before", event.Kv.Key, event.Kv.ModRevision)
	}
	if seen.PrevKv != nil && event.PrevKv != nil && seen.PrevKv.String() != event.PrevKv.String() {
		w.offend("before %d was %v, not %v", event.Kv.ModRevision, event.PrevKv, seen.PrevKv)
	}
}
