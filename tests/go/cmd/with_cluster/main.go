// SPDX-License-Identifier: Apache-2.0

// with_cluster starts a cluster, runs a command with its endpoints in the environment (ENDPOINTS,
// host:port with commas; LEADER and FOLLOWER, one each) and ends the cluster. It exits as the
// command did. With -kill a member is killed with -9 and restarted meanwhile, one after the other.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"datum.dev/tests/launcher"
)

func main() {
	members := flag.Int("members", 3, "how many")
	server := flag.String("server", os.Getenv(launcher.ServerVariable), "the server's binary")
	pause := flag.Duration("kill", 0, "so long after one kill comes the next")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: with_cluster [flags] -- command argument...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || *server == "" {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(run(*members, *server, *pause, flag.Args()))
}

// killAndRestart takes the members in turn until `ended` is closed.
func killAndRestart(cluster *launcher.Cluster, pause time.Duration, ended <-chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-ended:
			return nil
		case <-time.After(pause):
		}
		member := cluster.Member(i % len(cluster.Members))
		if err := member.Kill9(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		if err := member.Restart(); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "with_cluster: killed and restarted", member.Name)
	}
}

func run(members int, server string, pause time.Duration, arguments []string) int {
	cluster, err := launcher.Start(members, server)
	if err != nil {
		fmt.Fprintln(os.Stderr, "with_cluster:", err)
		return 1
	}
	defer cluster.Close()
	deadline, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	leader, err := cluster.Leader(deadline)
	if err != nil {
		fmt.Fprintln(os.Stderr, "with_cluster:", err)
		return 1
	}
	follower := leader
	if members > 1 {
		if follower, err = cluster.Follower(deadline); err != nil {
			fmt.Fprintln(os.Stderr, "with_cluster:", err)
			return 1
		}
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"ENDPOINTS="+strings.Join(cluster.Endpoints(), ","),
		"LEADER="+leader.Endpoint(), "FOLLOWER="+follower.Endpoint())
	ended, killer := make(chan struct{}), make(chan error, 1)
	if pause > 0 {
		go func() { killer <- killAndRestart(cluster, pause, ended) }()
	} else {
		killer <- nil
	}
	err = command.Run()
	close(ended)
	if killed := <-killer; killed != nil {
		fmt.Fprintln(os.Stderr, "with_cluster:", killed)
		return 1
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		for _, member := range cluster.Members {
			fmt.Fprintf(os.Stderr, "with_cluster: log of %s:\n%s\n", member.Name, member.LogTail(60))
		}
		return max(1, exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "with_cluster:", err)
		return 1
	}
	return 0
}
