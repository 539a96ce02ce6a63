// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"datum.dev/tests/launcher"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// starer sends requests and reads nothing of what comes back.
type starer struct {
	t          *testing.T
	connection *grpc.ClientConn
}

func newStarer(t *testing.T, member *launcher.Member) *starer {
	t.Helper()
	connection, err := grpc.NewClient(member.Endpoint(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// Fixed windows: else they grow.
		grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(16<<20),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return &starer{t, connection}
}

func (s *starer) begin(method string, request proto.Message) grpc.ClientStream {
	s.t.Helper()
	stream, err := s.connection.NewStream(within(s.t, 2*time.Minute),
		&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err == nil {
		err = stream.SendMsg(request)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

// endOf reads what has come, and the end.
func endOf(stream grpc.ClientStream) error {
	for {
		// Any message: the fields that it does not know it keeps.
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
	}
}

// sentAway: by the server, with its reason, or in the middle of a message, where grpc-go cannot
// take the reason any more.
func sentAway(err error) bool {
	got := status.Convert(err)
	return strings.HasPrefix(got.Message(), "datum: ") ||
		got.Code() == codes.Internal && got.Message() == "unexpected EOF"
}

// impatientMember has little memory for answers and little patience, and values of these sizes.
func impatientMember(t *testing.T, sizes map[string]int) (*launcher.Member, *clientv3.Client) {
	t.Helper()
	member := launcher.ForTest(t, 1, "--unread-timeout=2s", "--answer-memory-bytes=8388608").Member(0)
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	for key, bytes := range sizes {
		if _, err := client.Put(within(t, 10*time.Second), key, strings.Repeat("x", bytes)); err != nil {
			t.Fatal(err)
		}
	}
	return member, client
}

// Clients that ask for much and let it lie: their calls are ended, what they held is there for
// others again, and the member's memory stays bounded.
func TestClientsThatDoNotRead(t *testing.T) {
	sizes := map[string]int{}
	for i := range 40 {
		sizes[fmt.Sprintf("large/%02d", i)] = 1 << 20
	}
	member, _ := impatientMember(t, sizes)
	before := residentMiB(t, member)
	some := &etcdserverpb.RangeRequest{Key: []byte("large/00"), RangeEnd: []byte("large/02")}
	all := &etcdserverpb.RangeRequest{Key: []byte("large/"), RangeEnd: []byte("large0")}
	s := newStarer(t, member)
	var unread []grpc.ClientStream
	for i := 0; i < 4; i++ {
		unread = append(unread, s.begin("/etcdserverpb.KV/Range", some))
	}
	unread = append(unread, s.begin("/etcdserverpb.Maintenance/Snapshot", &etcdserverpb.SnapshotRequest{}))
	unread = append(unread, s.begin("/etcdserverpb.KV/RangeStream", all))
	began := time.Now()
	// Who reads is served as soon as those are gone, and need not come back for it.
	for {
		answer := new(etcdserverpb.RangeResponse)
		err := s.connection.Invoke(within(t, 30*time.Second), "/etcdserverpb.KV/Range", some, answer)
		if err == nil {
			break
		}
		if status.Code(err) != codes.ResourceExhausted || time.Since(began) > time.Minute {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
	t.Logf("served after %v, %d MiB before, %d now", time.Since(began), before, residentMiB(t, member))
	for i, stream := range unread {
		if err := endOf(stream); !sentAway(err) {
			t.Errorf("call %d ended with %v", i, err)
		}
	}
	if now := residentMiB(t, member); now > before+64 {
		t.Errorf("%d MiB before, %d MiB at the end", before, now)
	}
}

// A watch stream that asks again and again and never reads is ended, with the reason.
func TestAWatchStreamThatIsNeverRead(t *testing.T) {
	cluster := launcher.ForTest(t, 1)
	member := cluster.Member(0)
	s := newStarer(t, member)
	stream, err := etcdserverpb.NewWatchClient(s.connection).Watch(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	ask := &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")}}}
	before := residentMiB(t, member)
	for err == nil {
		err = stream.Send(ask)
	}
	if err := endOf(stream); !sentAway(err) {
		t.Errorf("ended with %v", err)
	}
	if now := residentMiB(t, member); now > before+64 {
		t.Errorf("%d MiB before, %d MiB at the end", before, now)
	}
}

// manyLeases grants so many that a list of them is no small answer, and one whose keys are none.
func manyLeases(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	ctx := within(t, time.Minute)
	const hands, each = 32, 180
	granted := make(chan error, hands)
	for range hands {
		go func() {
			var err error
			for i := 0; i < each && err == nil; i++ {
				_, err = client.Grant(ctx, 3600)
			}
			granted <- err
		}()
	}
	for range hands {
		if err := <-granted; err != nil {
			t.Fatal(err)
		}
	}
	lease, err := client.Grant(ctx, 3600)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		key := fmt.Sprintf("leased/%d/%s", i, strings.Repeat("k", 2000))
		if _, err := client.Put(ctx, key, "", clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
	}
	return int64(lease.ID)
}

// Answers that are not large, but many: they have the same bound, and those who let them lie are
// sent away.
func TestManyAnswersThatAreNotRead(t *testing.T) {
	member, client := impatientMember(t,
		map[string]int{"middling": 60 << 10, "small": 2 << 10, "election/1": 60 << 10})
	lease := manyLeases(t, client)
	get := func(key string) *etcdserverpb.RangeRequest { return &etcdserverpb.RangeRequest{Key: []byte(key)} }
	write := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{
		{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: []byte("written")}}},
		{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: get("middling")}}}}
	for _, load := range []struct {
		name, method string
		request      proto.Message
		lie          int // so many may lie for ever
	}{
		{"Range", "/etcdserverpb.KV/Range", get("middling"), 0},
		{"Txn", "/etcdserverpb.KV/Txn", write, 0},
		{"Leases", "/etcdserverpb.Lease/LeaseLeases", &etcdserverpb.LeaseLeasesRequest{}, 0},
		{"KeysOfALease", "/etcdserverpb.Lease/LeaseTimeToLive",
			&etcdserverpb.LeaseTimeToLiveRequest{ID: lease, Keys: true}, 0},
		{"Leader", "/v3electionpb.Election/Leader", &electionpb.LeaderRequest{Name: []byte("election")}, 0},
		{"small", "/etcdserverpb.KV/Range", get("small"), 1000},
	} {
		t.Run(load.name, func(t *testing.T) {
			const calls = 3000
			before := residentMiB(t, member)
			s := newShutStarer(t, member)
			for i := 0; i < calls; i++ {
				s.ask(load.method, load.request)
			}
			most := before
			began := time.Now()
			for s.lying() > load.lie && time.Since(began) < 30*time.Second {
				most = max(most, residentMiB(t, member))
				time.Sleep(100 * time.Millisecond)
			}
			lying, ends := s.lying(), s.ends()
			t.Logf("%d MiB before, up to %d; after %v %d lie, and the others ended with %v", before, most,
				time.Since(began), lying, ends)
			if lying > load.lie {
				t.Errorf("%d of %d are still there", lying, calls)
			}
			if ends[strconv.Itoa(int(codes.DeadlineExceeded))] == 0 {
				t.Error("none was sent away for not reading")
			}
			// Answers of 60 KiB are 175 MiB.
			if most > before+100 {
				t.Errorf("%d MiB before, up to %d MiB", before, most)
			}
			if _, err := client.Get(within(t, 30*time.Second), "middling"); err != nil {
				t.Errorf("who reads is not served: %v", err)
			}
		})
	}
}

// What cannot be decoded ends a stream of watches or keep-alives at once, whether or not its client
// reads, and nothing is served on it any more.
func TestGarbageOnAStreamThatIsNotRead(t *testing.T) {
	cluster := launcher.ForTest(t, 1)
	member := cluster.Member(0)
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := newStarer(t, member)
	stream, err := etcdserverpb.NewWatchClient(s.connection).Watch(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	ask := &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{Key: []byte("g")}}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 3; i++ {
		if _, err := client.Put(within(t, 10*time.Second), "g", strings.Repeat("x", 200<<10)); err != nil {
			t.Fatal(err)
		}
	}
	garbage := new(emptypb.Empty)
	garbage.ProtoReflect().SetUnknown([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	if err := stream.SendMsg(garbage); err != nil {
		t.Fatal(err)
	}
	// Sending fails once the end is here, without anything being read.
	began := time.Now()
	for err == nil {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the stream goes on")
		}
		err = stream.Send(ask)
		time.Sleep(10 * time.Millisecond)
	}
	err = endOf(stream)
	if got := status.Convert(err); got.Code() != codes.Internal {
		t.Errorf("ended with %v", err)
	}
}
