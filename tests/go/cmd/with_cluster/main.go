// SPDX-License-Identifier: Apache-2.0

// with_cluster starts a cluster, runs a command with its endpoints in the environment (ENDPOINTS,
// host:port with commas; LEADER and FOLLOWER, one each) and ends the cluster. It exits as the
// command did.
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
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: with_cluster [flags] -- command argument...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || *server == "" {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(run(*members, *server, flag.Args()))
}

func run(members int, server string, arguments []string) int {
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
	err = command.Run()
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
