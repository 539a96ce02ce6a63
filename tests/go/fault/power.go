// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"datum.dev/tests/launcher"
)

// PowerOptions say what LosePower does.
type PowerOptions struct {
	Binary string
	Flags  []string
	Rounds int
	Seed   uint64
	// Further variables of each server's environment.
	Environment []string
	Print       func(format string, arguments ...any)
}

const powerWriters = 16

// What was acknowledged, of keys that are written once.
type promises struct {
	mutex        sync.Mutex
	acknowledged map[string]string
}

func (p *promises) copied() map[string]string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	copied := make(map[string]string, len(p.acknowledged))
	for key, value := range p.acknowledged {
		copied[key] = value
	}
	return copied
}

// LosePower lets all members lose power while clients write: the image of each disk is copied in
// one moment, without a sync, and the members begin anew on the copies. What was in the page
// cache only is gone; what was acknowledged before must be there.
func LosePower(options PowerOptions) error {
	shelf, err := NewShelf("shelf", 6144)
	if err != nil {
		return err
	}
	var disks []*Disk
	defer func() {
		for _, disk := range disks {
			_ = disk.Close()
		}
		_ = shelf.Close()
	}()
	var places []launcher.Place
	for i := 0; i < 3; i++ {
		disk, err := shelf.NewDisk(fmt.Sprintf("member%d", i+1), rigDiskMegabytes)
		if err != nil {
			return err
		}
		disks = append(disks, disk)
		places = append(places, launcher.Place{Directory: disk.Path, Environment: options.Environment})
	}
	cluster, err := launcher.StartWith(launcher.Options{
		Members: 3, Binary: options.Binary, Flags: options.Flags, Places: places})
	if err != nil {
		return err
	}
	defer cluster.Close()
	random := rand.New(rand.NewPCG(options.Seed, 3))
	promised := &promises{acknowledged: map[string]string{}}
	for round := 1; round <= options.Rounds; round++ {
		if err := onePowerCut(cluster, disks, promised, round, random, options); err != nil {
			for _, member := range cluster.Members {
				options.Print("the end of the log of %s:\n%s", member.Name, member.LogTail(25))
			}
			return fmt.Errorf("power cut %d: %w", round, err)
		}
	}
	return nil
}

func onePowerCut(cluster *launcher.Cluster, disks []*Disk, promised *promises, round int,
	random *rand.Rand, options PowerOptions) error {
	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for i := 0; i < powerWriters; i++ {
		writers.Add(1)
		go func() {
			defer writers.Done()
			promised.write(ctx, cluster.Member(i%3), fmt.Sprintf("power/%03d/%02d", round, i))
		}()
	}
	quiet := func() {
		stop()
		writers.Wait()
	}
	defer quiet()
	time.Sleep(time.Second + time.Duration(random.IntN(3000))*time.Millisecond)
	before := promised.copied()
	began := time.Now()
	for _, disk := range disks {
		if err := disk.KeepMoment(); err != nil {
			return err
		}
	}
	took := time.Since(began)
	for _, member := range cluster.Members {
		if err := member.Kill9(); err != nil {
			return err
		}
	}
	quiet()
	for _, disk := range disks {
		if err := disk.BackToMoment(); err != nil {
			return err
		}
	}
	if err := cluster.RestartAll(); err != nil {
		return err
	}
	whole, giveUp := context.WithTimeout(context.Background(), wholeWithin)
	defer giveUp()
	present := map[string]int{}
	revision, err := CheckEqual(whole, cluster, func(_, key, value string) {
		if before[key] == value {
			present[key]++
		}
	})
	if err != nil {
		return err
	}
	lost := 0
	for key := range before {
		if present[key] != len(cluster.Members) {
			lost++
		}
	}
	options.Print("power cut %d (3 images in %d ms): %d acknowledged before it, %d lost; "+
		"the members are equal at revision %d", round, took.Milliseconds(), len(before), lost, revision)
	if lost > 0 {
		return fmt.Errorf("%d acknowledged writes are lost", lost)
	}
	// What came between the copies and the end of the old processes is rightly gone.
	promised.mutex.Lock()
	promised.acknowledged = before
	promised.mutex.Unlock()
	return nil
}

func (p *promises) write(ctx context.Context, member *launcher.Member, prefix string) {
	client, err := launcher.Connect(member.Endpoint())
	if err != nil {
		return
	}
	defer client.Close()
	for i := 0; ctx.Err() == nil; i++ {
		key, value := fmt.Sprintf("%s/%06d", prefix, i), fmt.Sprintf("value of %d", i)
		attempt, cancel := context.WithTimeout(ctx, clientPatience)
		_, err := client.Put(attempt, key, value)
		cancel()
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		p.mutex.Lock()
		p.acknowledged[key] = value
		p.mutex.Unlock()
	}
}
