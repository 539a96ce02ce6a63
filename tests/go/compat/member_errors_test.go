// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"datum.dev/tests/launcher"
)

const (
	noSuchMember = "etcdserver: member not found"
	learnersOnly = "etcdserver: rpc not supported for learner"
)

// membersOf is a cluster whose members refuse what etcd-errors says they refuse.
type membersOf struct {
	*launcher.Cluster
	t   *testing.T
	ctx context.Context
}

func (m *membersOf) at(member *launcher.Member) services { return rawServices(m.t, member.Endpoint()) }

func (m *membersOf) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *membersOf) refused(what string, err error, code codes.Code, text string) {
	m.t.Helper()
	if got := status.Convert(err); got.Code() != code || got.Message() != text {
		m.t.Errorf("%s: %v %q, want %v %q", what, got.Code(), got.Message(), code, text)
	}
}

func (m *membersOf) add(s services, url string, learner bool) (*etcdserverpb.MemberAddResponse, error) {
	return s.cluster.MemberAdd(m.ctx, &etcdserverpb.MemberAddRequest{PeerURLs: []string{url}, IsLearner: learner})
}

// Whoever leads by now, and somebody else.
func (m *membersOf) leaderAndFollower() (leader, follower services) {
	m.t.Helper()
	lead, err := m.Leader(m.ctx)
	m.must(err)
	other, err := m.Follower(m.ctx)
	m.must(err)
	return m.at(lead), m.at(other)
}

func (m *membersOf) refuseToMove() {
	leader, follower := m.leaderAndFollower()
	self, err := leader.maintenance.Status(m.ctx, &etcdserverpb.StatusRequest{})
	m.must(err)
	_, err = follower.maintenance.MoveLeader(m.ctx, &etcdserverpb.MoveLeaderRequest{TargetID: self.Leader})
	m.refused("asked of a follower", err, codes.FailedPrecondition, "etcdserver: not leader")
	_, err = leader.maintenance.MoveLeader(m.ctx, &etcdserverpb.MoveLeaderRequest{TargetID: 17})
	m.refused("to nobody", err, codes.FailedPrecondition, "etcdserver: bad leader transferee")

	_, err = leader.cluster.MemberRemove(m.ctx, &etcdserverpb.MemberRemoveRequest{ID: 17})
	m.refused("remove nobody", err, codes.NotFound, noSuchMember)
	_, err = leader.cluster.MemberUpdate(m.ctx, &etcdserverpb.MemberUpdateRequest{ID: 17, PeerURLs: []string{"http://127.0.0.1:1"}})
	m.refused("update nobody", err, codes.NotFound, noSuchMember)
	_, err = leader.cluster.MemberPromote(m.ctx, &etcdserverpb.MemberPromoteRequest{ID: 17})
	m.refused("promote nobody", err, codes.NotFound, noSuchMember)
	_, err = leader.cluster.MemberPromote(m.ctx, &etcdserverpb.MemberPromoteRequest{ID: self.Leader})
	m.refused("promote a voter", err, codes.FailedPrecondition, "etcdserver: can only promote a learner member")
	_, err = m.add(leader, m.Member(0).PeerURL, false)
	m.refused("add one that is there", err, codes.FailedPrecondition, "etcdserver: Peer URLs already exists")
	_, err = m.add(leader, "::", false)
	m.refused("add a URL that is none", err, codes.InvalidArgument, "etcdserver: given member URLs are invalid")
}

func (m *membersOf) refuseLearners() {
	leader, _ := m.leaderAndFollower()
	member, err := m.Extend(launcher.Place{})
	m.must(err)
	added, err := m.add(leader, member.PeerURL, true)
	m.must(err)
	_, err = m.add(leader, "http://127.0.0.1:1", true)
	m.refused("a second learner", err, codes.FailedPrecondition, "etcdserver: too many learner members in cluster")
	_, err = leader.cluster.MemberPromote(m.ctx, &etcdserverpb.MemberPromoteRequest{ID: added.Member.ID})
	m.refused("promote one that has not begun", err, codes.FailedPrecondition,
		"etcdserver: can only promote a learner member which is in sync with leader")
	_, err = leader.maintenance.MoveLeader(m.ctx, &etcdserverpb.MoveLeaderRequest{TargetID: added.Member.ID})
	m.refused("move to a learner", err, codes.FailedPrecondition, "etcdserver: bad leader transferee")

	m.must(member.Restart())
	learner := m.at(member)
	_, err = learner.kv.Put(m.ctx, &etcdserverpb.PutRequest{Key: []byte("a")})
	m.refused("put at a learner", err, codes.FailedPrecondition, learnersOnly)
	_, err = learner.kv.Range(m.ctx, &etcdserverpb.RangeRequest{Key: []byte("a")})
	m.refused("range at a learner", err, codes.FailedPrecondition, learnersOnly)
	_, err = learner.lease.LeaseGrant(m.ctx, &etcdserverpb.LeaseGrantRequest{TTL: 100})
	m.refused("grant at a learner", err, codes.FailedPrecondition, learnersOnly)
	_, err = learner.kv.Range(m.ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), Serializable: true})
	m.refused("serializable range at a learner", err, codes.OK, "")
	_, err = leader.cluster.MemberRemove(m.ctx, &etcdserverpb.MemberRemoveRequest{ID: added.Member.ID})
	m.must(err)
	m.must(m.Forget(member))
}

func (m *membersOf) refuseWithoutEnough() {
	member, err := m.Follower(m.ctx)
	m.must(err)
	m.must(member.Kill9())
	leader, err := m.Leader(m.ctx)
	m.must(err)
	_, err = m.add(m.at(leader), "http://127.0.0.1:1", false)
	m.refused("add while one is down", err, codes.Unavailable, "etcdserver: unhealthy cluster")
	m.must(leader.Kill9())
	for _, last := range m.Members {
		if !last.Running() {
			continue
		}
		s := m.at(last)
		// It may still count on the leader that it had.
		time.Sleep(5 * time.Second)
		wants := metadata.AppendToOutgoingContext(m.ctx, "hasleader", "true")
		_, err = s.kv.Range(wants, &etcdserverpb.RangeRequest{Key: []byte("a"), Serializable: true})
		m.refused("who wants a leader", err, codes.Unavailable, "etcdserver: no leader")
		_, err = s.kv.Range(m.ctx, &etcdserverpb.RangeRequest{Key: []byte("a")})
		m.refused("a linearizable range", err, codes.Unavailable, withoutALeader())
		_, err = s.kv.Range(m.ctx, &etcdserverpb.RangeRequest{Key: []byte("a"), Serializable: true})
		m.refused("a serializable range", err, codes.OK, "")
	}
}

// The rows of etcd-errors that are about members and leaders.
func TestEachErrorOfMembersAndLeaders(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	m := &membersOf{launcher.ForTest(t, 3), t, ctx}
	// etcd changes its members only once all have been connected for 5 s.
	time.Sleep(6 * time.Second)
	m.refuseToMove()
	m.refuseLearners()
	m.refuseWithoutEnough()
}

// A read that waits for a leader and gets none: ours says so, etcd that the time was over
// (docs/api/differences.md).
func withoutALeader() string {
	if isEtcd() {
		return "etcdserver: request timed out"
	}
	return "etcdserver: no leader"
}

// The test may be run on etcd, to see that it is right.
func isEtcd() bool { return strings.Contains(os.Getenv(launcher.ServerVariable), "etcd") }

func TestTheOnlyMemberIsNotRemoved(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m := &membersOf{launcher.ForTest(t, 1), t, ctx}
	s := m.at(m.Member(0))
	self, err := s.maintenance.Status(ctx, &etcdserverpb.StatusRequest{})
	m.must(err)
	_, err = s.cluster.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: self.Header.MemberId})
	code := codes.FailedPrecondition
	if isEtcd() {
		code = codes.Unknown // its own table says otherwise (docs/api/differences.md)
	}
	m.refused("remove the only one", err, code, "etcdserver: re-configuration failed due to not enough started members")
}
