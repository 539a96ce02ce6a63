// SPDX-License-Identifier: Apache-2.0

// Package fault runs clusters of real processes and breaks them: signals, cut networks, full,
// frozen and failing disks, membership changes, wipes.
package fault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"datum.dev/tests/launcher"
)

// A member's name of everything that this process makes begins so; the pid follows. A later run
// removes what a dead one left behind.
const ownedPrefix = "datum"

// Nobody has this address: a bridge sends such frames to all, and none takes them.
const nobodysAddress = "02:00:00:00:0f:0f"

// Network is a network namespace for each member, joined by a bridge on which this process sits
// too. A cut is a permanent neighbour entry with nobody's address: packets vanish without a word
// to either side, in one direction, and connections stay as they are. Needs root.
type Network struct {
	bridge string
	subnet string
	names  []string
}

var networksMade atomic.Int64

// Host stands for this process, with its clients, in Cut and Heal.
const Host = -1

// NewNetwork makes n namespaces.
func NewNetwork(n int) (*Network, error) {
	SweepNetworks()
	// The kernel takes down a namespace some time after it was deleted: no name comes twice.
	pid, made := os.Getpid(), networksMade.Add(1)
	network := &Network{
		bridge: fmt.Sprintf("db%dn%d", pid, made),
		subnet: fmt.Sprintf("10.77.%d", pid%250+1),
	}
	steps := [][]string{
		{"link", "add", network.bridge, "type", "bridge"},
		{"link", "set", network.bridge, "up"},
		{"addr", "add", network.address(Host) + "/24", "dev", network.bridge},
	}
	for i := 0; i < n; i++ {
		name := fmt.Sprintf("%s-%d-%d-%d", ownedPrefix, pid, made, i)
		veth := fmt.Sprintf("dv%dn%dx%d", pid, made, i)
		network.names = append(network.names, name)
		steps = append(steps,
			[]string{"netns", "add", name},
			[]string{"link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name},
			[]string{"link", "set", veth, "master", network.bridge, "up"},
			[]string{"-n", name, "addr", "add", network.address(i) + "/24", "dev", "eth0"},
			[]string{"-n", name, "link", "set", "eth0", "up"},
			[]string{"-n", name, "link", "set", "lo", "up"})
	}
	for _, step := range steps {
		if err := run("ip", step...); err != nil {
			network.Close()
			return nil, err
		}
	}
	return network, nil
}

// Place is where member i of the network lives.
func (n *Network) Place(i int) launcher.Place {
	return launcher.Place{Host: n.address(i), Prefix: []string{"ip", "netns", "exec", n.names[i]}}
}

func (n *Network) address(i int) string {
	if i == Host {
		return n.subnet + ".254"
	}
	return fmt.Sprintf("%s.%d", n.subnet, i+1)
}

// Cut lets nothing through from one to the other; the way back stays open.
func (n *Network) Cut(from, to int) error {
	return n.neighbour(from, "replace", n.address(to), "lladdr", nobodysAddress, "dev",
		n.device(from), "nud", "permanent")
}

// Heal ends a Cut; without one it does nothing.
func (n *Network) Heal(from, to int) error {
	err := n.neighbour(from, "del", n.address(to), "dev", n.device(from))
	if err != nil && strings.Contains(err.Error(), "No such file") {
		return nil
	}
	return err
}

// Isolate cuts a member off from the other members, and from this process, in both directions.
func (n *Network) Isolate(i int) error { return n.withOthers(i, n.Cut, n.Cut) }

// Deafen lets a member receive nothing; what it sends goes out.
func (n *Network) Deafen(i int) error {
	return n.withOthers(i, nil, n.Cut)
}

// HealAll ends every cut.
func (n *Network) HealAll() error {
	for i := range n.names {
		if err := n.withOthers(i, n.Heal, n.Heal); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) withOthers(i int, outwards, inwards func(from, to int) error) error {
	for other := Host; other < len(n.names); other++ {
		if other == i {
			continue
		}
		if outwards != nil {
			if err := outwards(i, other); err != nil {
				return err
			}
		}
		if err := inwards(other, i); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) device(i int) string {
	if i == Host {
		return n.bridge
	}
	return "eth0"
}

func (n *Network) neighbour(i int, arguments ...string) error {
	line := append([]string{"neigh"}, arguments...)
	if i != Host {
		line = append([]string{"-n", n.names[i]}, line...)
	}
	return run("ip", line...)
}

// Close removes the namespaces; members must have ended.
func (n *Network) Close() {
	for _, name := range n.names {
		_ = run("ip", "netns", "del", name)
	}
	_ = run("ip", "link", "del", n.bridge)
}

// SweepNetworks removes what dead processes left behind.
func SweepNetworks() {
	names, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(names), "\n") {
		var pid, number int
		if _, err := fmt.Sscanf(line, ownedPrefix+"-%d-%d", &pid, &number); err != nil || alive(pid) {
			continue
		}
		_ = run("ip", "netns", "del", strings.Fields(line)[0])
	}
	bridges, _ := filepath.Glob("/sys/class/net/db*")
	for _, bridge := range bridges {
		var pid, number int
		if _, err := fmt.Sscanf(filepath.Base(bridge), "db%dn%d", &pid, &number); err == nil && !alive(pid) {
			_ = run("ip", "link", "del", filepath.Base(bridge))
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func run(name string, arguments ...string) error {
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err,
			strings.TrimSpace(string(output)))
	}
	return nil
}
