// SPDX-License-Identifier: Apache-2.0

// check_history FILE...: says whether histories (JSON lines, see linearizability.Operation) are
// linearizable. Exits 1 if one is not, 3 if none is wrong but a search did not end.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"datum.dev/tests/linearizability"
)

func main() {
	patience := flag.Duration("patience", time.Minute, "the longest search for one key")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: check_history [flags] FILE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	worst := 0
	for _, path := range flag.Args() {
		switch code := check(path, *patience); {
		case code == 1, worst == 0:
			worst = code
		}
	}
	os.Exit(worst)
}

func check(path string, patience time.Duration) int {
	file, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check_history:", err)
		return 1
	}
	defer file.Close()
	history, err := linearizability.ReadHistory(file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "check_history: %s: %v\n", path, err)
		return 1
	}
	began := time.Now()
	verdict := linearizability.Check(history, patience)
	for _, violation := range verdict.Violations {
		fmt.Printf("%s: %s\n", path, violation)
	}
	for _, key := range verdict.Undecided {
		fmt.Printf("%s: key %q: undecided after %v\n", path, key, patience)
	}
	fmt.Printf("%s: %d operations on %d keys, %d violations, %d keys undecided, %v\n", path,
		verdict.Operations, verdict.Keys, len(verdict.Violations), len(verdict.Undecided),
		time.Since(began).Round(time.Millisecond))
	switch {
	case len(verdict.Violations) > 0:
		return 1
	case len(verdict.Undecided) > 0:
		return 3
	}
	return 0
}
