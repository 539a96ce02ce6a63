// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"datum.dev/tests/launcher"
)

// CountNeedlessElections runs three members under load on a machine whose cores are all taken
// twice over by others, and returns by how much the term rose though nothing failed.
func CountNeedlessElections(binary string, flags []string, length time.Duration) (uint64, error) {
	cluster, err := launcher.Start(3, binary, flags...)
	if err != nil {
		return 0, err
	}
	defer cluster.Close()
	load, err := StartLoad(cluster, 4, 10*time.Millisecond)
	if err != nil {
		return 0, err
	}
	defer load.Stop()
	before, err := newestTerm(cluster)
	if err != nil {
		return 0, err
	}
	var loops []*exec.Cmd
	defer func() {
		for _, loop := range loops {
			_ = loop.Process.Kill()
			_ = loop.Wait()
		}
	}()
	for i := 0; i < 2*runtime.NumCPU(); i++ {
		loop := exec.Command("sh", "-c", "while :; do :; done")
		loop.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := loop.Start(); err != nil {
			return 0, err
		}
		loops = append(loops, loop)
	}
	began := time.Now()
	time.Sleep(length)
	acknowledged, failed := load.Answered()
	gap := load.LongestGap(began)
	after, err := newestTerm(cluster)
	if err != nil {
		return 0, err
	}
	fmt.Printf("quiet load, %s, %v with %d busy loops on %d cores: term %d -> %d, "+
		"longest gap %v, %d puts acknowledged, %d failed\n", inWords(flags), length, len(loops),
		runtime.NumCPU(), before, after, gap.Round(time.Millisecond), acknowledged, failed)
	return after - before, nil
}

// CountElectionsAfterPauses stops all members at once, as a machine that is paused does, again
// and again, and returns by how much the term rose.
func CountElectionsAfterPauses(binary string, flags []string, pauses int,
	length time.Duration) (uint64, error) {
	cluster, err := launcher.Start(3, binary, flags...)
	if err != nil {
		return 0, err
	}
	defer cluster.Close()
	load, err := StartLoad(cluster, 4, 10*time.Millisecond)
	if err != nil {
		return 0, err
	}
	defer load.Stop()
	before, err := newestTerm(cluster)
	if err != nil {
		return 0, err
	}
	for i := 0; i < pauses; i++ {
		for _, member := range cluster.Members {
			if err := member.Pause(); err != nil {
				return 0, err
			}
		}
		time.Sleep(length)
		for _, member := range cluster.Members {
			if err := member.Resume(); err != nil {
				return 0, err
			}
		}
		time.Sleep(2 * time.Second)
	}
	after, err := newestTerm(cluster)
	if err != nil {
		return 0, err
	}
	fmt.Printf("paused machine, %s, %d times for %v: term %d -> %d\n", inWords(flags), pauses, length,
		before, after)
	return after - before, nil
}

func inWords(flags []string) string {
	if len(flags) == 0 {
		return "default flags"
	}
	return strings.Join(flags, " ")
}

func newestTerm(cluster *launcher.Cluster) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	newest := uint64(0)
	for _, member := range cluster.Members {
		client, err := launcher.Connect(member.Endpoint())
		if err != nil {
			return 0, err
		}
		err = untilDone(ctx, func(ctx context.Context) error {
			status, err := client.Status(ctx, member.Endpoint())
			if err == nil {
				newest = max(newest, status.RaftTerm)
			}
			return err
		})
		client.Close()
		if err != nil {
			return 0, err
		}
	}
	return newest, nil
}
