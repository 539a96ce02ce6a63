// SPDX-License-Identifier: Apache-2.0

// loads runs package loads against our server and, if given, etcd, one after the other for each
// load, each on a new member.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"datum.dev/tests/launcher"
	"datum.dev/tests/loads"
)

func main() {
	datum := flag.String("server", "", "our binary")
	etcd := flag.String("etcd", "", "etcd's binary, to compare with")
	only := flag.String("only", "", "names of loads, separated by commas")
	scale := flag.Float64("scale", 0.1, "1 is as large as the loads' names say")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: loads --server PATH [--etcd PATH] [--only NAME,...] [--scale 0.1]")
		for _, load := range loads.All {
			fmt.Fprintf(os.Stderr, "  %-12s %s\n", load.Name, load.What)
		}
	}
	flag.Parse()
	failed := false
	for _, load := range loads.All {
		if *only != "" && !strings.Contains(","+*only+",", ","+load.Name+",") {
			continue
		}
		fmt.Printf("%s: %s (scale %g)\n", load.Name, load.What, *scale)
		ours, err := run(load, "datum", *datum, loads.Scale(*scale))
		var theirs []loads.Figure
		if err == nil && *etcd != "" {
			theirs, err = run(load, "etcd", *etcd, loads.Scale(*scale))
		}
		for i, figure := range ours {
			fmt.Printf("  %-34s datum %10.2f %-6s", figure.Name, figure.Value, figure.Unit)
			if i < len(theirs) {
				fmt.Printf(" etcd %10.2f %-6s ratio %.2f", theirs[i].Value, theirs[i].Unit, figure.Value/theirs[i].Value)
			}
			fmt.Println()
		}
		for _, broken := range load.BrokenBounds(ours, loads.Scale(*scale)) {
			fmt.Printf("  failed: %s\n", broken)
			failed = true
		}
		if err != nil {
			fmt.Printf("  failed: %v\n", err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func run(load loads.Load, name, binary string, scale loads.Scale) ([]loads.Figure, error) {
	cluster, err := launcher.Start(1, binary, "--quota-backend-bytes=17179869184")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	member := cluster.Member(0)
	figures, err := load.Run(ctx, loads.Server{Name: name, Endpoint: member.Endpoint(), Pid: member.Pid()}, scale)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return figures, err
}
