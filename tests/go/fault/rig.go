// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"datum.dev/tests/launcher"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Rig is a cluster of three with what it takes to break it: a namespace and a disk for each
// member, and a place for a fourth. A local rig has neither, and needs no root.
type Rig struct {
	*launcher.Cluster
	network *Network
	disks   []*Disk
	places  []launcher.Place
}

// How large a rig's disks are; small, so that they can be filled, and copied.
const rigDiskMegabytes = 768

// Takes what is not flushed, as log and as state, and a state that comes beside the old one.
const shortLogDiskMegabytes = 3072

const rigPlaces = 4

// NewRig starts three members.
func NewRig(binary string, local bool, flags ...string) (*Rig, error) {
	return newRig(binary, local, rigDiskMegabytes, flags...)
}

func newRig(binary string, local bool, diskMegabytes int, flags ...string) (*Rig, error) {
	rig := &Rig{places: make([]launcher.Place, rigPlaces)}
	if !local {
		if err := rig.makePlaces(diskMegabytes); err != nil {
			rig.End()
			return nil, err
		}
	}
	var err error
	rig.Cluster, err = launcher.StartWith(launcher.Options{
		Members: 3, Binary: binary, Flags: flags, Places: rig.places})
	if err != nil {
		rig.End()
		return nil, err
	}
	return rig, nil
}

func (r *Rig) makePlaces(diskMegabytes int) error {
	var err error
	if r.network, err = NewNetwork(rigPlaces); err != nil {
		return err
	}
	for i := range r.places {
		disk, err := NewDisk(fmt.Sprintf("member%d", i+1), diskMegabytes)
		if err != nil {
			return err
		}
		r.disks = append(r.disks, disk)
		r.places[i] = r.network.Place(i)
		r.places[i].Directory = disk.Path
	}
	return nil
}

// End kills the members and removes all that was made for them.
func (r *Rig) End() {
	for _, disk := range r.disks {
		_ = disk.Thaw() // who is killed on a frozen disk does not end
	}
	if r.Cluster != nil {
		if os.Getenv("DATUM_KEEP_CLUSTERS") != "" {
			fmt.Println("logs are in", r.Home())
		}
		r.Cluster.Close()
	}
	for _, disk := range r.disks {
		if err := disk.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "fault:", err)
		}
	}
	if r.network != nil {
		r.network.Close()
	}
}

// LeaderNumber is the leader's place.
func (r *Rig) LeaderNumber(ctx context.Context) (int, error) {
	leader, err := r.Leader(ctx)
	if err != nil {
		return 0, err
	}
	return slices.Index(r.Members, leader), nil
}

// Ask tries the running members in turn until one has done it.
func (r *Rig) Ask(ctx context.Context, try func(context.Context, *clientv3.Client) error) error {
	last := errors.New("no member runs")
	for ctx.Err() == nil {
		for _, member := range r.Members {
			if !member.Running() {
				continue
			}
			if last = askOne(ctx, member, try); last == nil {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return last
}

func askOne(ctx context.Context, member *launcher.Member,
	try func(context.Context, *clientv3.Client) error) error {
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		return err
	}
	defer client.Close()
	attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return try(attempt, client)
}

// Registered is the member as the cluster's own list has it; nil if it is not there.
func (r *Rig) Registered(ctx context.Context, member *launcher.Member) (*etcdserverpb.Member, error) {
	var found *etcdserverpb.Member
	err := r.Ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		list, err := client.MemberList(ctx)
		if err != nil {
			return err
		}
		for _, listed := range list.Members {
			if slices.Contains(listed.PeerURLs, member.PeerURL) {
				found = listed
			}
		}
		return nil
	})
	return found, err
}

// Level waits until every member answers a linearizable read.
func (r *Rig) Level(ctx context.Context) error { return level(ctx, r.Cluster) }

// WaitVoters waits until exactly these members are listed, all as voters.
func (r *Rig) WaitVoters(ctx context.Context, members []*launcher.Member) error {
	return untilDone(ctx, func(attempt context.Context) error {
		return r.Ask(attempt, func(ctx context.Context, client *clientv3.Client) error {
			list, err := client.MemberList(ctx)
			if err != nil {
				return err
			}
			if len(list.Members) != len(members) {
				return fmt.Errorf("%d members are listed, not %d", len(list.Members), len(members))
			}
			for _, listed := range list.Members {
				if listed.IsLearner {
					return fmt.Errorf("%s is a learner", listed.Name)
				}
			}
			return nil
		})
	})
}

// level waits until every member answers a linearizable read.
func level(ctx context.Context, cluster *launcher.Cluster) error {
	for _, member := range cluster.Members {
		client, err := launcher.Connect(member.Endpoint())
		if err != nil {
			return err
		}
		err = untilDone(ctx, func(ctx context.Context) error {
			_, err := client.Get(ctx, "x")
			return err
		})
		client.Close()
		if err != nil {
			return fmt.Errorf("%s does not answer again: %w", member.Name, err)
		}
	}
	return nil
}

// untilDone tries again, each time for a second, until it is done or the time is over.
func untilDone(ctx context.Context, try func(ctx context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
