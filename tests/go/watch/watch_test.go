// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"datum.dev/tests/launcher"
)

const (
	keys = 40
	// As old as this is what the compactions, ten a second, leave.
	keptTime = 3 * time.Second
	// More than what is on the way to a client that does not read, and in its stream's queue.
	beyondBuffers = 600
	stallers      = 6
	// Within it of the last write everybody has been told of everything.
	patience = time.Minute
)

// run is writers, watchers, compactions and kills on one cluster.
type run struct {
	t       *testing.T
	cluster *launcher.Cluster
	history *history
	// Closed when watchers that have all of it may end.
	written chan struct{}
	// Ends when watchers that still do not have all of it are not waited for any longer.
	waiting context.Context
	// The newest revision when the writers ended.
	target atomic.Int64
	acked  sync.Map // revision -> key and value
	count  atomic.Int64
	// Beyond it nobody has asked for a compaction.
	compacted atomic.Int64

	mutex    sync.Mutex
	offences []string
	// How often a slow reader fell back and was then overtaken by a compaction.
	fellBack int
}

func (r *run) offend(format string, values ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.offences = append(r.offences, fmt.Sprintf(format, values...))
}

func keyOf(i int) string { return fmt.Sprintf("k/%02d", i) }

// write puts, deletes and changes several keys at once, until the context ends.
func (r *run) write(ctx context.Context, number int) {
	client, err := launcher.Connect(r.cluster.Endpoints()...)
	if err != nil {
		r.offend("%v", err)
		return
	}
	defer client.Close()
	random := rand.New(rand.NewPCG(7, uint64(number)))
	for i := 0; ctx.Err() == nil; i++ {
		var operations []clientv3.Op
		first := random.IntN(keys)
		for j := 0; j <= random.IntN(3); j++ {
			key := keyOf((first + j) % keys)
			if random.IntN(4) == 0 {
				operations = append(operations, clientv3.OpDelete(key))
			} else {
				value := fmt.Sprintf("%d/%d/%0*d", number, i, random.IntN(900), 0)
				operations = append(operations, clientv3.OpPut(key, value))
			}
		}
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		answer, err := client.Txn(call).Then(operations...).Commit()
		cancel()
		if err != nil {
			continue
		}
		for j, operation := range operations {
			if operation.IsPut() {
				r.acked.Store(answer.Header.Revision, [2]string{string(operations[j].KeyBytes()), string(operations[j].ValueBytes())})
				r.count.Add(1)
				break
			}
		}
	}
}

// compact keeps the history short, ten times a second.
func (r *run) compact(ctx context.Context) {
	client, err := launcher.Connect(r.cluster.Endpoints()...)
	if err != nil {
		r.offend("%v", err)
		return
	}
	defer client.Close()
	type moment struct {
		at       time.Time
		revision int64
	}
	var kept []moment
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, time.Second)
		if got, err := client.Get(call, "k"); err == nil {
			kept = append(kept, moment{time.Now(), got.Header.Revision})
		}
		for len(kept) > 1 && time.Since(kept[1].at) > keptTime {
			kept = kept[1:]
		}
		if len(kept) > 0 && time.Since(kept[0].at) > keptTime && kept[0].revision > r.compacted.Load() {
			r.compacted.Store(kept[0].revision) // before any member can have heard of it
			_, _ = client.Compact(call, kept[0].revision)
		}
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// kill ends one member after the other with -9, and lets it come back.
func (r *run) kill(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
		member := r.cluster.Members[rand.IntN(len(r.cluster.Members))]
		if err := member.Kill9(); err != nil {
			r.t.Error(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := member.Restart(); err != nil {
			r.t.Error(err)
		}
	}
}

// watch follows one watcher over streams to any member until it has all that was written.
func (r *run) watch(w *watcher, member int, pause time.Duration, each func(*etcdserverpb.WatchResponse)) {
	for !r.done(w) {
		if r.waiting.Err() != nil {
			w.offend("was told nothing from %d on, %v after the last write at %d", w.next, patience, r.target.Load())
			return
		}
		target := r.cluster.Members[member%len(r.cluster.Members)]
		member++
		connection, err := grpc.NewClient(target.Endpoint(),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
		if err != nil {
			r.offend("%v", err)
			return
		}
		r.follow(w, etcdserverpb.NewWatchClient(connection), pause, each)
		connection.Close()
		w.resume()
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *run) done(w *watcher) bool {
	select {
	case <-r.written:
		return w.started && w.next > r.target.Load()
	default:
		return false
	}
}

func (r *run) follow(w *watcher, service etcdserverpb.WatchClient, pause time.Duration, each func(*etcdserverpb.WatchResponse)) {
	ctx, cancel := context.WithTimeout(r.waiting, 20*time.Second)
	defer cancel()
	stream, err := service.Watch(ctx)
	if err != nil {
		return
	}
	request := proto.Clone(w.request).(*etcdserverpb.WatchCreateRequest)
	if w.started {
		request.StartRevision = w.next
	}
	create := &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: request}
	if err := stream.Send(&etcdserverpb.WatchRequest{RequestUnion: create}); err != nil {
		return
	}
	// Asks how far it is, as Kubernetes does.
	go func() {
		for ctx.Err() == nil {
			ask := &etcdserverpb.WatchRequest_ProgressRequest{ProgressRequest: &etcdserverpb.WatchProgressRequest{}}
			if stream.Send(&etcdserverpb.WatchRequest{RequestUnion: ask}) != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	for !r.done(w) {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		if !w.take(response, r.compacted.Load()) {
			return
		}
		if each != nil {
			each(response)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(pause) + 1)))
	}
}

// remember makes a watcher of everything write the history.
func (r *run) remember(member int) *watcher {
	w := &watcher{request: &etcdserverpb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), StartRevision: 1, PrevKv: true}}
	r.watch(w, member, 0, func(response *etcdserverpb.WatchResponse) {
		for at := 0; at < len(response.Events); {
			end := at
			for end < len(response.Events) && response.Events[end].Kv.ModRevision == response.Events[at].Kv.ModRevision {
				end++
			}
			if err := r.history.add(response.Events[at:end]); err != nil {
				r.offend("%v", err)
			}
			at = end
		}
	})
	return w
}

// stall makes a watcher of everything stop reading whenever it is level, until compactions have
// overtaken it.
func (r *run) stall(ctx context.Context, w *watcher, member int) {
	r.watch(w, member, 0, func(response *etcdserverpb.WatchResponse) {
		if !w.level || len(response.Events) > 0 {
			return
		}
		for ctx.Err() == nil && r.compacted.Load() < w.next+beyondBuffers {
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func someRequest(random *rand.Rand) *etcdserverpb.WatchCreateRequest {
	request := &etcdserverpb.WatchCreateRequest{
		Key:            []byte(keyOf(random.IntN(keys))),
		PrevKv:         random.IntN(2) == 0,
		Fragment:       random.IntN(3) == 0,
		ProgressNotify: random.IntN(2) == 0,
	}
	switch random.IntN(3) {
	case 0:
		request.RangeEnd = []byte("k0")
	case 1:
		request.RangeEnd = []byte{0}
	}
	if random.IntN(4) == 0 {
		request.Filters = append(request.Filters, etcdserverpb.WatchCreateRequest_NOPUT)
	} else if random.IntN(4) == 0 {
		request.Filters = append(request.Filters, etcdserverpb.WatchCreateRequest_NODELETE)
	}
	return request
}

// check runs it all and returns what is wrong.
func check(t *testing.T, cluster *launcher.Cluster, duration time.Duration, faults bool) *run {
	t.Helper()
	waiting, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	r := &run{t: t, cluster: cluster, history: newHistory(), written: make(chan struct{}), waiting: waiting}
	ctx, stop := context.WithTimeout(context.Background(), duration)
	defer stop()
	var writers, others, watching sync.WaitGroup
	start := func(group *sync.WaitGroup, what func()) {
		group.Add(1)
		go func() { defer group.Done(); what() }()
	}
	var watchers []*watcher
	for i := range cluster.Members {
		start(&watching, func() {
			w := r.remember(i)
			r.mutex.Lock()
			defer r.mutex.Unlock()
			r.offences = append(r.offences, w.offences...)
			if len(w.gaps) > 0 {
				t.Logf("a watcher of everything was overtaken by a compaction: %v", w.gaps)
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < 30; i++ {
		w := &watcher{request: someRequest(random)}
		watchers = append(watchers, w)
		pause := time.Duration(0)
		if i%3 == 0 {
			pause = 30 * time.Millisecond
		}
		delay := time.Duration(random.Int64N(int64(duration) / 2))
		start(&watching, func() {
			time.Sleep(delay)
			r.watch(w, i, pause, nil)
		})
	}
	for i := 0; i < stallers; i++ {
		w := &watcher{request: &etcdserverpb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true}}
		watchers = append(watchers, w)
		start(&watching, func() { r.stall(ctx, w, i) })
	}
	for i := 0; i < 4; i++ {
		start(&writers, func() { r.write(ctx, i) })
	}
	start(&others, func() { r.compact(ctx) })
	if faults {
		start(&others, func() { r.kill(ctx) })
	}
	writers.Wait()
	others.Wait()
	r.target.Store(newestRevision(t, cluster))
	close(r.written)
	defer time.AfterFunc(patience, giveUp).Stop()
	watching.Wait()
	resumes, events, gaps := 0, 0, 0
	for i, w := range watchers {
		w.finish(r.history)
		for _, offence := range w.offences {
			r.offend("watcher %d (%v): %s", i, w.request, offence)
		}
		resumes, events, gaps = resumes+w.resumes, events+len(w.seen), gaps+len(w.gaps)
		r.fellBack += w.fellBack
	}
	r.checkAcknowledged()
	t.Logf("%d revisions, %d acknowledged, %d watchers, %d resumes, %d events, %d compacted on the way, "+
		"%d of them when they had been level on that stream",
		len(r.history.events), r.count.Load(), len(watchers), resumes, events, gaps, r.fellBack)
	return r
}

func (r *run) checkAcknowledged() {
	r.acked.Range(func(revision, put any) bool {
		wanted := put.([2]string)
		for _, event := range r.history.events[revision.(int64)] {
			if string(event.Kv.Key) == wanted[0] && string(event.Kv.Value) == wanted[1] {
				return true
			}
		}
		r.offend("the put of %s at %d was acknowledged, and nobody heard of it", wanted[0], revision)
		return true
	})
}

func newestRevision(t *testing.T, cluster *launcher.Cluster) int64 {
	t.Helper()
	client, err := launcher.Connect(cluster.Endpoints()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := client.Put(ctx, "k/99", "the end")
	if err != nil {
		t.Fatal(err)
	}
	return got.Header.Revision
}

func duration() time.Duration {
	if seconds, err := time.ParseDuration(os.Getenv("DATUM_WATCH_SECONDS") + "s"); err == nil {
		return seconds
	}
	return 25 * time.Second
}

// Small buffers, so that slow readers are overtaken and catch up from the disk.
const smallBuffers = "--watch-stream-bytes=65536"

func TestWatchersAreToldWhatTheyWerePromised(t *testing.T) {
	r := check(t, launcher.ForTest(t, 3, smallBuffers), duration(), true)
	for _, offence := range r.offences {
		t.Error(offence)
	}
	if r.count.Load() < 200 {
		t.Errorf("%d acknowledged writes show nothing", r.count.Load())
	}
	if r.fellBack == 0 {
		t.Error("no slow reader fell back and was overtaken by a compaction")
	}
}

// The checker finds bugs that are planted in the server that DATUM_SERVER_WITH_CANARIES names.
func TestPlantedBugsAreFound(t *testing.T) {
	binary := os.Getenv("DATUM_SERVER_WITH_CANARIES")
	if binary == "" {
		t.Fatal("DATUM_SERVER_WITH_CANARIES is not set: it must name the server with planted bugs")
	}
	for _, bug := range []string{
		"watch-event-dropped-at-switch", "watch-event-twice", "watch-revision-split", "watch-progress-ahead",
		"watch-previous-left-out",
	} {
		t.Run(bug, func(t *testing.T) {
			place := launcher.Place{Environment: []string{"DATUM_PLANTED=" + bug}}
			cluster, err := launcher.StartWith(launcher.Options{Members: 1, Binary: binary,
				Places: []launcher.Place{place}, Flags: []string{smallBuffers}})
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			r := check(t, cluster, 8*time.Second, false)
			if len(r.offences) == 0 {
				t.Fatal("not found")
			}
			t.Logf("found %d times, as: %s", len(r.offences), r.offences[0])
		})
	}
}
