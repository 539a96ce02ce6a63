// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"datum.dev/tests/launcher"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A fault is begun, stays for a while, and is mended. Both say in words what they did.
type fault struct {
	name      string
	needsRoot bool
	longest   time.Duration // how long it stays, at most
	begin     func(ctx context.Context, rig *Rig, random *rand.Rand) (words string, mend mending, err error)
}

type mending func(ctx context.Context, rig *Rig) error

func nothing(context.Context, *Rig) error { return nil }

var faults = []fault{
	{"kill", false, 4 * time.Second, beginKill},
	{"kill-all", false, time.Second, beginKillAll},
	{"restart", false, 4 * time.Second, beginRestart},
	{"pause", false, 8 * time.Second, beginPause},
	{"transfer", false, time.Second, beginTransfer},
	{"grow-shrink", false, 3 * time.Second, beginGrow},
	{"wipe", false, time.Second, beginWipe},
	{"one-way", true, 6 * time.Second, beginOneWay},
	{"isolate", true, 6 * time.Second, beginIsolate},
	{"deaf", true, 6 * time.Second, beginDeaf},
	{"freeze", true, 8 * time.Second, beginFreeze},
	{"disk-full", true, 8 * time.Second, beginDiskFull},
}

// FaultNames are all that there are.
func FaultNames() []string {
	var names []string
	for _, fault := range faults {
		names = append(names, fault.name)
	}
	return names
}

// The leader in two of three cases: what happens to it matters most.
func victim(ctx context.Context, rig *Rig, random *rand.Rand) (int, error) {
	leader, err := rig.LeaderNumber(ctx)
	if err != nil || random.IntN(3) > 0 {
		return leader, err
	}
	return random.IntN(len(rig.Members)), nil
}

func beginKill(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	return "kill -9 " + rig.Member(i).Name, func(context.Context, *Rig) error {
		return rig.Member(i).Restart()
	}, rig.Member(i).Kill9()
}

func beginKillAll(_ context.Context, rig *Rig, _ *rand.Rand) (string, mending, error) {
	for _, member := range rig.Members {
		if err := member.Kill9(); err != nil {
			return "", nil, err
		}
	}
	return "kill -9 all", func(context.Context, *Rig) error { return rig.RestartAll() }, nil
}

// A clean end: what the member holds is flushed, and the log before it goes.
func beginRestart(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	return "SIGTERM " + rig.Member(i).Name, func(context.Context, *Rig) error {
		return rig.Member(i).Restart()
	}, rig.Member(i).Stop()
}

func beginPause(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	return "SIGSTOP " + rig.Member(i).Name, func(context.Context, *Rig) error {
		return rig.Member(i).Resume()
	}, rig.Member(i).Pause()
}

func beginTransfer(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	from, err := rig.LeaderNumber(ctx)
	if err != nil {
		return "", nil, err
	}
	to := (from + 1 + random.IntN(len(rig.Members)-1)) % len(rig.Members)
	words := fmt.Sprintf("transfer %s to %s", rig.Member(from).Name, rig.Member(to).Name)
	registered, err := rig.Registered(ctx, rig.Member(to))
	if err != nil || registered == nil {
		return "", nil, fmt.Errorf("%s is not in the member list: %w", rig.Member(to).Name, err)
	}
	err = askOne(ctx, rig.Member(from), func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MoveLeader(ctx, registered.ID)
		return err
	})
	// On a machine that has no time for it, or whose disk stands still for all members, the one that
	// stands is not elected. That is told, if this client still waits for it, and whoever leads then
	// leads on.
	if err != nil && ctx.Err() == nil &&
		(strings.Contains(err.Error(), "leader transfer took too long") ||
			errors.Is(err, context.DeadlineExceeded)) {
		return words + ", in vain", nothing, nil
	}
	return words, nothing, err
}

// A fourth member comes as a learner, is promoted, and one of the four goes: the newcomer, or
// the one that leads by then. Who goes leaves its place to a later newcomer.
func beginGrow(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	newcomer, err := rig.Extend(rig.freePlace())
	if err != nil {
		return "", nil, err
	}
	if err := addLearner(ctx, rig, newcomer); err != nil {
		return "", nil, fmt.Errorf("add %s as a learner: %w", newcomer.Name, err)
	}
	if err := newcomer.Launch(); err != nil {
		return "", nil, err
	}
	if err := newcomer.WaitReady(90 * time.Second); err != nil {
		return "", nil, err
	}
	if err := promote(ctx, rig, newcomer); err != nil {
		return "", nil, fmt.Errorf("promote %s: %w", newcomer.Name, err)
	}
	words := "add and promote " + newcomer.Name
	removeLeader := random.IntN(2) == 0
	return words, func(ctx context.Context, rig *Rig) error {
		goes := newcomer
		if removeLeader {
			leader, err := rig.Leader(ctx)
			if err != nil {
				return err
			}
			goes = leader
		}
		return removeForGood(ctx, rig, goes)
	}, nil
}

// freePlace is one where no member lives.
func (r *Rig) freePlace() launcher.Place {
	for _, place := range r.places {
		taken := false
		for _, member := range r.Members {
			taken = taken || member.Place.Directory == place.Directory && place.Directory != ""
		}
		if !taken {
			return place
		}
	}
	return launcher.Place{}
}

func addLearner(ctx context.Context, rig *Rig, member *launcher.Member) error {
	return rig.Ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberAddAsLearner(ctx, []string{member.PeerURL})
		if err != nil && strings.Contains(err.Error(), "Peer URLs already exists") {
			return nil // an attempt before had its effect though its answer was lost
		}
		return err
	})
}

// Refused as long as the learner is behind.
func promote(ctx context.Context, rig *Rig, member *launcher.Member) error {
	registered, err := rig.Registered(ctx, member)
	if err != nil {
		return err
	}
	if registered == nil {
		return errors.New("it is not in the member list")
	}
	return rig.Ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberPromote(ctx, registered.ID)
		if err != nil && strings.Contains(err.Error(), "can only promote a learner member") &&
			!strings.Contains(err.Error(), "in sync") {
			return nil
		}
		return err
	})
}

// The text with which a removed member ends itself.
const removedText = "has been permanently removed from the cluster"

func removeForGood(ctx context.Context, rig *Rig, member *launcher.Member) error {
	registered, err := rig.Registered(ctx, member)
	if err != nil || registered == nil {
		return fmt.Errorf("%s is not in the member list: %w", member.Name, err)
	}
	err = rig.Ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberRemove(ctx, registered.ID)
		if err != nil && strings.Contains(err.Error(), "member not found") {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove %s: %w", member.Name, err)
	}
	if err := member.WaitEnd(20 * time.Second); err != nil {
		return fmt.Errorf("a removed member goes on: %w", err)
	}
	if !strings.Contains(member.LogOfThisProcess(), removedText) {
		return fmt.Errorf("%s was removed and does not say so", member.Name)
	}
	return rig.Forget(member)
}

// The member comes back under its old flags; the cluster takes it as a new one.
func beginWipe(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	member := rig.Member(i)
	before, err := rig.Registered(ctx, member)
	if err != nil || before == nil {
		return "", nil, fmt.Errorf("%s is not in the member list: %w", member.Name, err)
	}
	if err := member.Kill9(); err != nil {
		return "", nil, err
	}
	if err := member.Wipe(); err != nil {
		return "", nil, err
	}
	return "wipe " + member.Name, func(ctx context.Context, rig *Rig) error {
		rig.NameTheLiving(member)
		if err := member.Restart(); err != nil {
			return err
		}
		if err := rig.WaitVoters(ctx, rig.Members); err != nil {
			return err
		}
		now, err := rig.Registered(ctx, member)
		if err == nil && (now == nil || now.ID == before.ID) {
			err = fmt.Errorf("%s lost its data and is still member %x", member.Name, before.ID)
		}
		return err
	}, nil
}

func beginOneWay(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	other := (i + 1 + random.IntN(len(rig.Members)-1)) % len(rig.Members)
	from, to := i, other
	if random.IntN(2) == 0 {
		from, to = to, from
	}
	return fmt.Sprintf("nothing goes from %s to %s", rig.Member(from).Name, rig.Member(to).Name),
		healNetwork, rig.network.Cut(rig.placeOf(from), rig.placeOf(to))
}

// placeOf is the number in the network of member i.
func (r *Rig) placeOf(i int) int {
	for number, place := range r.places {
		if place.Directory == r.Member(i).Place.Directory {
			return number
		}
	}
	panic("a member of a rig lives in one of its places")
}

func healNetwork(_ context.Context, rig *Rig) error { return rig.network.HealAll() }

func beginIsolate(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	// Its clients still reach it: they must not read from it what the others have overwritten.
	for other := range rig.places {
		if here := rig.placeOf(i); other != here {
			if err := rig.network.Cut(here, other); err != nil {
				return "", nil, err
			}
			if err := rig.network.Cut(other, here); err != nil {
				return "", nil, err
			}
		}
	}
	return "isolate " + rig.Member(i).Name, healNetwork, nil
}

func beginDeaf(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	return "deafen " + rig.Member(i).Name, healNetwork, rig.network.Deafen(rig.placeOf(i))
}

func beginFreeze(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	disk := rig.disks[rig.placeOf(i)]
	return "freeze the disk of " + rig.Member(i).Name, func(context.Context, *Rig) error {
		return disk.Thaw()
	}, disk.Freeze()
}

func beginDiskFull(ctx context.Context, rig *Rig, random *rand.Rand) (string, mending, error) {
	i, err := victim(ctx, rig, random)
	if err != nil {
		return "", nil, err
	}
	member, disk := rig.Member(i), rig.disks[rig.placeOf(i)]
	return "fill the disk of " + member.Name, func(ctx context.Context, rig *Rig) error {
		if err := disk.Empty(); err != nil {
			return err
		}
		return untilDone(ctx, func(ctx context.Context) error {
			if err := startIfDiskEndedIt(member); err != nil {
				return err
			}
			return checkNoAlarm(ctx, rig)
		})
	}, disk.Fill(0)
}

// A disk that is filled at once while a file of the state is being written ends its member, which
// says so.
func startIfDiskEndedIt(member *launcher.Member) error {
	if member.Running() {
		return nil
	}
	if !strings.Contains(member.LogOfThisProcess(), "the disk of the state is full") {
		return fmt.Errorf("%s ended when its disk was full", member.Name)
	}
	return member.Restart()
}

// The alarm goes by itself when there is space again.
func waitNoAlarm(ctx context.Context, rig *Rig) error {
	return untilDone(ctx, func(attempt context.Context) error { return checkNoAlarm(attempt, rig) })
}

func checkNoAlarm(ctx context.Context, rig *Rig) error {
	return rig.Ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		list, err := client.AlarmList(ctx)
		if err == nil && len(list.Alarms) > 0 {
			err = fmt.Errorf("there is space, and still: %v", list.Alarms)
		}
		return err
	})
}
