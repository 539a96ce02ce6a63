// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"datum.dev/tests/launcher"
)

func TestLocksAndElections(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	onEachMember(t, cluster, aLockIsHeldByOneAndGoesInOrder)
	onEachMember(t, cluster, whoGoesAwayLeavesTheQueue)
	onEachMember(t, cluster, theLockOfADeadSessionIsFree)
	onEachMember(t, cluster, aSessionThatWaitsIsNotKeptAlive)
	onEachMember(t, cluster, badLocksAndElections)
	onEachMember(t, cluster, anElectionHasOneLeaderAtATime)
	onEachMember(t, cluster, anObserverSeesEachValue)
}

func session(t *testing.T, ctx context.Context, client *clientv3.Client, ttl int64) int64 {
	t.Helper()
	return int64(must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, ttl)).ID)
}

func hasError(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || status.Convert(err).Message() != text {
		t.Fatalf("got %v, want code %v, %q", err, code, text)
	}
}

// queued waits until n keys stand under the name.
func queued(t *testing.T, ctx context.Context, client *clientv3.Client, name string, n int64) {
	t.Helper()
	for {
		got := must[*clientv3.GetResponse](t)(
			client.Get(ctx, name+"/", clientv3.WithPrefix(), clientv3.WithCountOnly()))
		if got.Count == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func aLockIsHeldByOneAndGoesInOrder(t *testing.T, ctx context.Context, client *clientv3.Client) {
	locks := lockpb.NewLockClient(client.ActiveConnection())
	name := t.Name()
	first := session(t, ctx, client, 60)
	held := must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: first}))
	if string(held.Key) != fmt.Sprintf("%s/%x", name, first) || held.Header.Revision == 0 {
		t.Fatalf("%+v", held)
	}
	again := must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: first}))
	if string(again.Key) != string(held.Key) {
		t.Fatalf("the session that holds it asks again: %+v", again)
	}
	order := make(chan int, 3)
	for waiter := 0; waiter < 3; waiter++ {
		lease := session(t, ctx, client, 60)
		go func() {
			lock, err := locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: lease})
			if err != nil {
				t.Error(err)
			}
			order <- waiter
			if _, err := locks.Unlock(ctx, &lockpb.UnlockRequest{Key: lock.GetKey()}); err != nil {
				t.Error(err)
			}
		}()
		queued(t, ctx, client, name, int64(waiter)+2)
	}
	select {
	case waiter := <-order:
		t.Fatalf("%d has a lock that is held", waiter)
	case <-time.After(100 * time.Millisecond):
	}
	must[*lockpb.UnlockResponse](t)(locks.Unlock(ctx, &lockpb.UnlockRequest{Key: held.Key}))
	for waiter := 0; waiter < 3; waiter++ {
		if got := <-order; got != waiter {
			t.Fatalf("%d came before %d", got, waiter)
		}
	}
	queued(t, ctx, client, name, 0)
}

func whoGoesAwayLeavesTheQueue(t *testing.T, ctx context.Context, client *clientv3.Client) {
	locks := lockpb.NewLockClient(client.ActiveConnection())
	name := t.Name()
	held := must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: session(t, ctx, client, 60)}))
	patience, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err := locks.Lock(patience, &lockpb.LockRequest{Name: []byte(name), Lease: session(t, ctx, client, 60)})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Fatal(err)
	}
	queued(t, ctx, client, name, 1)
	// Its connection is cut.
	gone := connect(t, client.Endpoints()...)
	lease := session(t, ctx, client, 60)
	go func() {
		_, _ = lockpb.NewLockClient(gone.ActiveConnection()).Lock(ctx,
			&lockpb.LockRequest{Name: []byte(name), Lease: lease})
	}()
	queued(t, ctx, client, name, 2)
	gone.Close()
	queued(t, ctx, client, name, 1)
	must[*lockpb.UnlockResponse](t)(locks.Unlock(ctx, &lockpb.UnlockRequest{Key: held.Key}))
}

func theLockOfADeadSessionIsFree(t *testing.T, ctx context.Context, client *clientv3.Client) {
	locks := lockpb.NewLockClient(client.ActiveConnection())
	name := t.Name()
	must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: session(t, ctx, client, 2)}))
	// A second session waits, and ends while it waits; a third is next.
	second := session(t, ctx, client, 60)
	ended := make(chan error, 1)
	go func() {
		_, err := locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: second})
		ended <- err
	}()
	queued(t, ctx, client, name, 2)
	must[*clientv3.LeaseRevokeResponse](t)(client.Revoke(ctx, clientv3.LeaseID(second)))
	must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: session(t, ctx, client, 60)}))
	hasError(t, <-ended, codes.Unknown, "mutex: session is expired")
}

// As in etcd 3.7.1, which lets go of a session's lease before it waits.
func aSessionThatWaitsIsNotKeptAlive(t *testing.T, ctx context.Context, client *clientv3.Client) {
	locks := lockpb.NewLockClient(client.ActiveConnection())
	elections := electionpb.NewElectionClient(client.ActiveConnection())
	lock, election := t.Name()+"-lock", t.Name()+"-election"
	holder := session(t, ctx, client, 60)
	held := must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(lock), Lease: holder}))
	leads := must[*electionpb.CampaignResponse](t)(
		elections.Campaign(ctx, &electionpb.CampaignRequest{Name: []byte(election), Lease: holder}))
	waiter := session(t, ctx, client, 2)
	locked, led := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := locks.Lock(ctx, &lockpb.LockRequest{Name: []byte(lock), Lease: waiter})
		locked <- err
	}()
	go func() {
		_, err := elections.Campaign(ctx,
			&electionpb.CampaignRequest{Name: []byte(election), Lease: waiter})
		led <- err
	}()
	queued(t, ctx, client, lock, 2)
	queued(t, ctx, client, election, 2)
	// Their lease ends.
	queued(t, ctx, client, lock, 1)
	queued(t, ctx, client, election, 1)
	must[*lockpb.UnlockResponse](t)(locks.Unlock(ctx, &lockpb.UnlockRequest{Key: held.Key}))
	hasError(t, <-locked, codes.Unknown, "mutex: session is expired")
	must[*electionpb.ResignResponse](t)(elections.Resign(ctx,
		&electionpb.ResignRequest{Leader: leads.Leader}))
	if err := <-led; err != nil {
		t.Fatalf("etcd's Campaign does not look whether its key is still there: %v", err)
	}
	_, err := elections.Leader(ctx, &electionpb.LeaderRequest{Name: []byte(election)})
	hasError(t, err, codes.Unknown, "election: no leader")
}

func badLocksAndElections(t *testing.T, ctx context.Context, client *clientv3.Client) {
	locks := lockpb.NewLockClient(client.ActiveConnection())
	elections := electionpb.NewElectionClient(client.ActiveConnection())
	name := []byte(t.Name())
	_, err := locks.Lock(ctx, &lockpb.LockRequest{Name: name, Lease: 424242})
	hasError(t, err, codes.Unknown, "etcdserver: requested lease not found")
	_, err = locks.Unlock(ctx, &lockpb.UnlockRequest{})
	hasError(t, err, codes.Unknown, "etcdserver: key is not provided")
	_, err = elections.Campaign(ctx, &electionpb.CampaignRequest{Name: name, Lease: 424242})
	hasError(t, err, codes.Unknown, "etcdserver: requested lease not found")
	_, err = elections.Leader(ctx, &electionpb.LeaderRequest{Name: name})
	hasError(t, err, codes.Unknown, "election: no leader")
	_, err = elections.Proclaim(ctx, &electionpb.ProclaimRequest{})
	hasError(t, err, codes.Unknown, `"leader" field must be provided`)
	_, err = elections.Resign(ctx, &electionpb.ResignRequest{})
	hasError(t, err, codes.Unknown, `"leader" field must be provided`)
	_, err = elections.Proclaim(ctx, &electionpb.ProclaimRequest{
		Leader: &electionpb.LeaderKey{Name: name, Key: []byte("none"), Rev: 7}})
	hasError(t, err, codes.Unknown, "election: not leader")
	// Without a lease the server makes one.
	lock := must[*lockpb.LockResponse](t)(locks.Lock(ctx, &lockpb.LockRequest{Name: name}))
	if !strings.HasPrefix(string(lock.Key), t.Name()+"/") {
		t.Fatalf("%+v", lock)
	}
	must[*lockpb.UnlockResponse](t)(locks.Unlock(ctx, &lockpb.UnlockRequest{Key: lock.Key}))
	id := -time.Now().UnixNano()
	must[*pb.LeaseGrantResponse](t)(pb.NewLeaseClient(client.ActiveConnection()).LeaseGrant(ctx,
		&pb.LeaseGrantRequest{ID: id, TTL: 60}))
	lock = must[*lockpb.LockResponse](t)(
		locks.Lock(ctx, &lockpb.LockRequest{Name: name, Lease: id}))
	if want := fmt.Sprintf("%s/%x", name, id); string(lock.Key) != want {
		t.Fatalf("%s, and not %s", lock.Key, want)
	}
	must[*lockpb.UnlockResponse](t)(locks.Unlock(ctx, &lockpb.UnlockRequest{Key: lock.Key}))
}

func anElectionHasOneLeaderAtATime(t *testing.T, ctx context.Context, client *clientv3.Client) {
	elections := electionpb.NewElectionClient(client.ActiveConnection())
	name := []byte(t.Name())
	campaign := func(lease int64, value string) (*electionpb.CampaignResponse, error) {
		return elections.Campaign(ctx, &electionpb.CampaignRequest{Name: name, Lease: lease,
			Value: []byte(value)})
	}
	lease := session(t, ctx, client, 60)
	won := must[*electionpb.CampaignResponse](t)(campaign(lease, "a"))
	if won.Leader.Lease != lease || string(won.Leader.Name) != t.Name() || won.Leader.Rev == 0 ||
		string(won.Leader.Key) != fmt.Sprintf("%s/%x", name, lease) {
		t.Fatalf("%+v", won)
	}
	leads := func(value string) {
		t.Helper()
		leader := must[*electionpb.LeaderResponse](t)(
			elections.Leader(ctx, &electionpb.LeaderRequest{Name: name}))
		if string(leader.Kv.Value) != value {
			t.Fatalf("%+v", leader)
		}
	}
	leads("a")
	must[*electionpb.CampaignResponse](t)(campaign(lease, "a2")) // says something else
	leads("a2")
	must[*electionpb.ProclaimResponse](t)(elections.Proclaim(ctx,
		&electionpb.ProclaimRequest{Leader: won.Leader, Value: []byte("a3")}))
	leads("a3")
	next := make(chan *electionpb.CampaignResponse, 1)
	second := session(t, ctx, client, 60)
	go func() {
		answer, err := campaign(second, "b")
		if err != nil {
			t.Error(err)
		}
		next <- answer
	}()
	queued(t, ctx, client, t.Name(), 2)
	must[*electionpb.ResignResponse](t)(elections.Resign(ctx,
		&electionpb.ResignRequest{Leader: won.Leader}))
	if after := <-next; after.GetLeader().GetRev() <= won.Leader.Rev {
		t.Fatalf("%+v", after)
	}
	leads("b")
	_, err := elections.Proclaim(ctx,
		&electionpb.ProclaimRequest{Leader: won.Leader, Value: []byte("a4")})
	hasError(t, err, codes.Unknown, "election: not leader")
	must[*electionpb.ResignResponse](t)(elections.Resign(ctx,
		&electionpb.ResignRequest{Leader: won.Leader})) // of no effect
	leads("b")
}

func anObserverSeesEachValue(t *testing.T, ctx context.Context, client *clientv3.Client) {
	elections := electionpb.NewElectionClient(client.ActiveConnection())
	name := []byte(t.Name())
	stream := must[electionpb.Election_ObserveClient](t)(
		elections.Observe(ctx, &electionpb.LeaderRequest{Name: name}))
	sees := func(value string) {
		t.Helper()
		if got := must[*electionpb.LeaderResponse](t)(stream.Recv()); string(got.Kv.Value) != value ||
			got.Header.Revision < got.Kv.ModRevision {
			t.Fatalf("%+v, and not %s", got, value)
		}
	}
	won := must[*electionpb.CampaignResponse](t)(elections.Campaign(ctx,
		&electionpb.CampaignRequest{Name: name, Lease: session(t, ctx, client, 60), Value: []byte("a")}))
	sees("a")
	second := session(t, ctx, client, 60)
	go func() {
		_, _ = elections.Campaign(ctx,
			&electionpb.CampaignRequest{Name: name, Lease: second, Value: []byte("b")})
	}()
	queued(t, ctx, client, t.Name(), 2)
	// In one breath: none is skipped.
	for i := 0; i < 50; i++ {
		must[*electionpb.ProclaimResponse](t)(elections.Proclaim(ctx,
			&electionpb.ProclaimRequest{Leader: won.Leader, Value: []byte(fmt.Sprint(i))}))
	}
	for i := 0; i < 50; i++ {
		sees(fmt.Sprint(i))
	}
	must[*electionpb.ResignResponse](t)(elections.Resign(ctx,
		&electionpb.ResignRequest{Leader: won.Leader}))
	sees("b")
}
