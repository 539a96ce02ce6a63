// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"datum.dev/tests/launcher"
)

// services are etcd's raw services on one connection: what a client library makes of an error is
// not asked.
type services struct {
	kv          etcdserverpb.KVClient
	watch       etcdserverpb.WatchClient
	lease       etcdserverpb.LeaseClient
	cluster     etcdserverpb.ClusterClient
	maintenance etcdserverpb.MaintenanceClient
	lock        v3lockpb.LockClient
	election    v3electionpb.ElectionClient
	connection  *grpc.ClientConn
}

func rawServices(t *testing.T, endpoint string) services {
	t.Helper()
	connection, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return services{etcdserverpb.NewKVClient(connection), etcdserverpb.NewWatchClient(connection),
		etcdserverpb.NewLeaseClient(connection), etcdserverpb.NewClusterClient(connection),
		etcdserverpb.NewMaintenanceClient(connection), v3lockpb.NewLockClient(connection),
		v3electionpb.NewElectionClient(connection), connection}
}

func putOp(key string) *etcdserverpb.RequestOp {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: []byte(key)}}}
}

func puts(n int) []*etcdserverpb.RequestOp {
	all := make([]*etcdserverpb.RequestOp, n)
	for i := range all {
		all[i] = putOp(strings.Repeat("k", i+1))
	}
	return all
}

func firstOf(stream grpc.ServerStreamingClient[etcdserverpb.RangeStreamResponse], err error) error {
	if err != nil {
		return err
	}
	if _, err = stream.Recv(); err == io.EOF {
		return nil
	}
	return err
}

type badRequest struct {
	name string
	call func(ctx context.Context, s services) error
	code codes.Code
	text string
}

const (
	compacted = "etcdserver: mvcc: required revision has been compacted"
	future    = "etcdserver: mvcc: required revision is a future revision"
)

// What etcd-errors lists and a server without authentication can be brought to, but for what the
// tests of members and of full disks show. The store was compacted to 5.
var badRequests = []badRequest{
	{"range without a key", func(ctx context.Context, s services) error {
		_, err := s.kv.Range(ctx, &etcdserverpb.RangeRequest{})
		return err
	}, codes.InvalidArgument, "etcdserver: key is not provided"},
	{"put without a key", func(ctx context.Context, s services) error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{})
		return err
	}, codes.InvalidArgument, "etcdserver: key is not provided"},
	{"delete without a key", func(ctx context.Context, s services) error {
		_, err := s.kv.DeleteRange(ctx, &etcdserverpb.DeleteRangeRequest{})
		return err
	}, codes.InvalidArgument, "etcdserver: key is not provided"},
	{"compare without a key", func(ctx context.Context, s services) error {
		_, err := s.kv.Txn(ctx, &etcdserverpb.TxnRequest{Compare: []*etcdserverpb.Compare{{}}})
		return err
	}, codes.InvalidArgument, "etcdserver: key is not provided"},
	{"ignore_value of a key that is not there", func(ctx context.Context, s services) error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("none"), IgnoreValue: true})
		return err
	}, codes.InvalidArgument, "etcdserver: key not found"},
	{"an operation without a request", func(ctx context.Context, s services) error {
		_, err := s.kv.Txn(ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{}}})
		return err
	}, codes.InvalidArgument, "etcdserver: key not found"},
	{"a value though it is ignored", func(ctx context.Context, s services) error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a"), Value: []byte("v"), IgnoreValue: true})
		return err
	}, codes.InvalidArgument, "etcdserver: value is provided"},
	{"a lease though it is ignored", func(ctx context.Context, s services) error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a"), Lease: 7, IgnoreLease: true})
		return err
	}, codes.InvalidArgument, "etcdserver: lease is provided"},
	{"too many operations", func(ctx context.Context, s services) error {
		_, err := s.kv.Txn(ctx, &etcdserverpb.TxnRequest{Success: puts(129)})
		return err
	}, codes.InvalidArgument, "etcdserver: too many operations in txn request"},
	{"a key twice", func(ctx context.Context, s services) error {
		_, err := s.kv.Txn(ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{putOp("k"), putOp("k")}})
		return err
	}, codes.InvalidArgument, "etcdserver: duplicate key given in txn request"},
	{"an order that is none", func(ctx context.Context, s services) error {
		_, err := s.kv.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), SortOrder: 9})
		return err
	}, codes.InvalidArgument, "etcdserver: invalid sort option"},
	{"a range that is compacted", func(ctx context.Context, s services) error {
		_, err := s.kv.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), Revision: 4})
		return err
	}, codes.OutOfRange, compacted},
	{"a range in the future", func(ctx context.Context, s services) error {
		_, err := s.kv.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), Revision: 1 << 40})
		return err
	}, codes.OutOfRange, future},
	{"a compaction again", func(ctx context.Context, s services) error {
		_, err := s.kv.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: 5})
		return err
	}, codes.OutOfRange, compacted},
	{"a compaction in the future", func(ctx context.Context, s services) error {
		_, err := s.kv.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: 1 << 40})
		return err
	}, codes.OutOfRange, future},
	{"a hash that is compacted", func(ctx context.Context, s services) error {
		_, err := s.maintenance.HashKV(ctx, &etcdserverpb.HashKVRequest{Revision: 3})
		return err
	}, codes.OutOfRange, compacted},
	{"a hash in the future", func(ctx context.Context, s services) error {
		_, err := s.maintenance.HashKV(ctx, &etcdserverpb.HashKVRequest{Revision: 1 << 40})
		return err
	}, codes.OutOfRange, future},
	{"a put with a lease that is not there", func(ctx context.Context, s services) error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a"), Lease: 999})
		return err
	}, codes.NotFound, "etcdserver: requested lease not found"},
	{"a revoke of a lease that is not there", func(ctx context.Context, s services) error {
		_, err := s.lease.LeaseRevoke(ctx, &etcdserverpb.LeaseRevokeRequest{ID: 999})
		return err
	}, codes.NotFound, "etcdserver: requested lease not found"},
	{"a lease that is there", func(ctx context.Context, s services) error {
		_, err := s.lease.LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{ID: 7, TTL: 100})
		return err
	}, codes.FailedPrecondition, "etcdserver: lease already exists"},
	{"a lease for too long", func(ctx context.Context, s services) error {
		_, err := s.lease.LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{TTL: 1 << 62})
		return err
	}, codes.OutOfRange, "etcdserver: too large lease TTL"},
	{"a member at nowhere", func(ctx context.Context, s services) error {
		_, err := s.cluster.MemberAdd(ctx, &etcdserverpb.MemberAddRequest{})
		return err
	}, codes.InvalidArgument, "etcdserver: given member URLs are invalid"},
	{"a member to remove that is none", func(ctx context.Context, s services) error {
		_, err := s.cluster.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: 1})
		return err
	}, codes.NotFound, "etcdserver: member not found"},
	{"a member to promote that is none", func(ctx context.Context, s services) error {
		_, err := s.cluster.MemberPromote(ctx, &etcdserverpb.MemberPromoteRequest{ID: 1})
		return err
	}, codes.NotFound, "etcdserver: member not found"},
	{"a member to update that is none", func(ctx context.Context, s services) error {
		_, err := s.cluster.MemberUpdate(ctx, &etcdserverpb.MemberUpdateRequest{ID: 1, PeerURLs: []string{"http://127.0.0.1:1"}})
		return err
	}, codes.NotFound, "etcdserver: member not found"},
	{"a request that is too large", func(ctx context.Context, s services) error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a"), Value: make([]byte, 1_600_000)})
		return err
	}, codes.InvalidArgument, "etcdserver: request is too large"},
	{"a leader that is none", func(ctx context.Context, s services) error {
		_, err := s.maintenance.MoveLeader(ctx, &etcdserverpb.MoveLeaderRequest{TargetID: 1})
		return err
	}, codes.FailedPrecondition, "etcdserver: bad leader transferee"},
	{"a downgrade to no version", func(ctx context.Context, s services) error {
		_, err := s.maintenance.Downgrade(ctx, &etcdserverpb.DowngradeRequest{Version: "x"})
		return err
	}, codes.InvalidArgument, "etcdserver: wrong downgrade target version format"},
	{"a downgrade by two", func(ctx context.Context, s services) error {
		_, err := s.maintenance.Downgrade(ctx, &etcdserverpb.DowngradeRequest{Version: "3.5.0"})
		return err
	}, codes.InvalidArgument, "etcdserver: invalid downgrade target version"},
	{"an unknown downgrade", func(ctx context.Context, s services) error {
		_, err := s.maintenance.Downgrade(ctx, &etcdserverpb.DowngradeRequest{Action: 9})
		return err
	}, codes.Unknown, "etcdserver: unknown method"},
	{"a stream in an order of its own", func(ctx context.Context, s services) error {
		return firstOf(s.kv.RangeStream(ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), SortOrder: etcdserverpb.RangeRequest_DESCEND}))
	}, codes.Unimplemented, "RangeStream does not support custom sort orders"},
	{"a stream with a filter", func(ctx context.Context, s services) error {
		return firstOf(s.kv.RangeStream(ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), MinModRevision: 3}))
	}, codes.Unimplemented, "RangeStream does not support revision filters"},
	{"a lock with a lease that is not there", func(ctx context.Context, s services) error {
		_, err := s.lock.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l"), Lease: 999})
		return err
	}, codes.Unknown, "etcdserver: requested lease not found"},
	{"an unlock of nothing", func(ctx context.Context, s services) error {
		_, err := s.lock.Unlock(ctx, &v3lockpb.UnlockRequest{})
		return err
	}, codes.Unknown, "etcdserver: key is not provided"},
	{"an election without a leader", func(ctx context.Context, s services) error {
		_, err := s.election.Leader(ctx, &v3electionpb.LeaderRequest{Name: []byte("e")})
		return err
	}, codes.Unknown, "election: no leader"},
	{"a proclamation for nobody", func(ctx context.Context, s services) error {
		_, err := s.election.Proclaim(ctx, &v3electionpb.ProclaimRequest{})
		return err
	}, codes.Unknown, `"leader" field must be provided`},
	{"a proclamation under no key", func(ctx context.Context, s services) error {
		_, err := s.election.Proclaim(ctx, &v3electionpb.ProclaimRequest{Leader: &v3electionpb.LeaderKey{}, Value: []byte("n")})
		return err
	}, codes.Unknown, "etcdserver: key is not provided"},
	{"a resignation from no key", func(ctx context.Context, s services) error {
		_, err := s.election.Resign(ctx, &v3electionpb.ResignRequest{Leader: &v3electionpb.LeaderKey{}})
		return err
	}, codes.Unknown, "etcdserver: key is not provided"},
	{"a lock whose name is too large", func(ctx context.Context, s services) error {
		_, err := s.lock.Lock(ctx, &v3lockpb.LockRequest{Name: make([]byte, 1_600_000), Lease: 7})
		return err
	}, codes.Unknown, "etcdserver: request is too large"},
	{"a campaign whose value is too large", func(ctx context.Context, s services) error {
		_, err := s.election.Campaign(ctx, &v3electionpb.CampaignRequest{Name: []byte("e"), Value: make([]byte, 1_600_000), Lease: 7})
		return err
	}, codes.Unknown, "etcdserver: request is too large"},
	{"a method that is not there", func(ctx context.Context, s services) error {
		return s.connection.Invoke(ctx, "/etcdserverpb.KV/Nothing", &etcdserverpb.RangeRequest{}, &etcdserverpb.RangeResponse{})
	}, codes.Unimplemented, "unknown method Nothing for service etcdserverpb.KV"},
}

func TestEachErrorHasItsCodeAndText(t *testing.T) {
	cluster := launcher.ForTest(t, 1)
	s := rawServices(t, cluster.Member(0).Endpoint())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.lease.LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{ID: 7, TTL: 1000}); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if _, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a"), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.kv.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: 5}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range badRequests {
		t.Run(bad.name, func(t *testing.T) {
			err := bad.call(ctx, s)
			if got := status.Convert(err); got.Code() != bad.code || got.Message() != bad.text {
				t.Errorf("%v %q, want %v %q", got.Code(), got.Message(), bad.code, bad.text)
			}
		})
	}
	t.Run("alarms", func(t *testing.T) { checkAlarms(ctx, t, s) })
}

func checkAlarms(ctx context.Context, t *testing.T, s services) {
	change := func(action etcdserverpb.AlarmRequest_AlarmAction, alarm etcdserverpb.AlarmType) {
		if _, err := s.maintenance.Alarm(ctx, &etcdserverpb.AlarmRequest{Action: action, MemberID: 5, Alarm: alarm}); err != nil {
			t.Fatal(err)
		}
	}
	put := func() error {
		_, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a")})
		return err
	}
	for alarm, want := range map[etcdserverpb.AlarmType]*status.Status{
		etcdserverpb.AlarmType_NOSPACE: status.New(codes.ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
		etcdserverpb.AlarmType_CORRUPT: status.New(codes.DataLoss, "etcdserver: corrupt cluster"),
	} {
		change(etcdserverpb.AlarmRequest_ACTIVATE, alarm)
		if got := status.Convert(put()); got.Code() != want.Code() || got.Message() != want.Message() {
			t.Errorf("%v: %v, want %v", alarm, got, want)
		}
		change(etcdserverpb.AlarmRequest_DEACTIVATE, alarm)
		if err := put(); err != nil {
			t.Errorf("%v was disarmed: %v", alarm, err)
		}
	}
}

// What a watch stream says in band.
func TestEachRefusalOfAWatch(t *testing.T) {
	cluster := launcher.ForTest(t, 1)
	s := rawServices(t, cluster.Member(0).Endpoint())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 6 {
		if _, err := s.kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("a")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.kv.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: 5}); err != nil {
		t.Fatal(err)
	}
	stream, err := s.watch.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(create *etcdserverpb.WatchCreateRequest) *etcdserverpb.WatchResponse {
		t.Helper()
		request := &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	refused := func(what, reason string, create *etcdserverpb.WatchCreateRequest) {
		t.Helper()
		got := ask(create)
		if !got.Created || !got.Canceled || got.WatchId != -1 || got.CancelReason != reason {
			t.Errorf("%s: %v, want created, canceled, -1 and %q", what, got, reason)
		}
	}
	refused("a negative revision", compacted, &etcdserverpb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1})
	refused("an empty range", "mvcc: watcher range is empty", &etcdserverpb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")})
	if got := ask(&etcdserverpb.WatchCreateRequest{Key: []byte("a"), WatchId: 9}); !got.Created || got.WatchId != 9 {
		t.Errorf("a watcher with an id of its own: %v", got)
	}
	refused("an id that is taken", "mvcc: duplicate watch ID provided on the WatchStream", &etcdserverpb.WatchCreateRequest{Key: []byte("a"), WatchId: 9})
	if got := ask(&etcdserverpb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3, WatchId: 4}); !got.Created || got.Canceled {
		t.Errorf("a start that is compacted is first created: %v", got)
	}
	got, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !got.Canceled || got.CompactRevision != 5 || got.CancelReason != "" || got.Header.Revision != 0 {
		t.Errorf("and then canceled, with the compact revision, no reason and header revision 0: %v", got)
	}
}
