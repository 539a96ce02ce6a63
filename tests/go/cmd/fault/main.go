// SPDX-License-Identifier: Apache-2.0

// fault breaks clusters of real processes; `tools/dev fault` builds and calls it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"datum.dev/tests/fault"
	"datum.dev/tests/launcher"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: fault failover|nemesis|power [flags]")
		os.Exit(2)
	}
	// A terminal's Ctrl-C reaches the members too; what they stood on is removed by the next run.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		fmt.Fprintln(os.Stderr, "fault: interrupted; the next run sweeps namespaces and disks")
		os.Exit(130)
	}()
	os.Exit(dispatch(os.Args[1], os.Args[2:]))
}

func dispatch(verb string, arguments []string) int {
	var good bool
	var err error
	switch verb {
	case "failover":
		good, err = failover(arguments)
	case "nemesis":
		good, err = nemesis(arguments)
	case "power":
		good, err = power(arguments)
	default:
		fmt.Fprintf(os.Stderr, "fault: there is no verb %q\n", verb)
		return 2
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "fault:", err)
		return 1
	case !good:
		return 1
	}
	return 0
}

func failover(arguments []string) (bool, error) {
	flags := flag.NewFlagSet("failover", flag.ExitOnError)
	server := flags.String("server", os.Getenv(launcher.ServerVariable), "our server's binary")
	etcd := flags.String("etcd", "", "etcd's binary, measured in the same run")
	rounds := flags.Int("rounds", 20, "how often the leader fails, each way")
	kinds := flags.String("kinds", strings.Join(fault.FailureNames(), ","), "the ways to fail")
	extra := flags.String("flags", "", "further flags of every member, separated by blanks")
	quiet := flags.Bool("quiet-load", false,
		"nothing fails, but the machine is overloaded: count elections instead")
	minutes := flags.Float64("minutes", 2, "how long, with --quiet-load, for each set of flags")
	variants := flags.String("variants",
		";--heartbeat-interval=50 --election-timeout=500;--heartbeat-interval=20 --election-timeout=200",
		"with --quiet-load: sets of flags, separated by semicolons")
	_ = flags.Parse(arguments)
	if *quiet {
		return countElections(*server, strings.Split(*variants, ";"), *minutes)
	}
	options := fault.FailoverOptions{
		Servers: map[string]string{"datum": *server, "etcd": *etcd},
		Order:   []string{"datum"},
		Flags:   strings.Fields(*extra),
		Kinds:   strings.Split(*kinds, ","),
		Rounds:  *rounds,
	}
	if *etcd != "" {
		options.Order = append(options.Order, "etcd")
	}
	return fault.MeasureFailover(options)
}

func nemesis(arguments []string) (bool, error) {
	flags := flag.NewFlagSet("nemesis", flag.ExitOnError)
	server := flags.String("server", os.Getenv(launcher.ServerVariable), "our server's binary")
	minutes := flags.Float64("minutes", 30, "how long faults come")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()%1_000_000), "of the schedule")
	local := flags.Bool("local", os.Geteuid() != 0, "without what needs root: namespaces, disks")
	only := flags.String("only", "",
		"the faults that may come, separated by commas: "+strings.Join(fault.FaultNames(), ","))
	extra := flags.String("flags", "", "further flags of every member, separated by blanks")
	longLog := flags.Bool("long-log", false, "members keep the log, and are sent no states")
	_ = flags.Parse(arguments)
	options := fault.NemesisOptions{Binary: *server, Flags: strings.Fields(*extra), Seed: *seed,
		Local: *local, ShortLog: !*longLog, Length: time.Duration(*minutes * float64(time.Minute)),
		Print: printWithTime}
	if *only != "" {
		options.Only = strings.Split(*only, ",")
	}
	return true, fault.RunNemesis(options)
}

func power(arguments []string) (bool, error) {
	flags := flag.NewFlagSet("power", flag.ExitOnError)
	server := flags.String("server", os.Getenv(launcher.ServerVariable), "our server's binary")
	rounds := flags.Int("rounds", 10, "how often the power goes")
	seed := flags.Uint64("seed", 1, "of the moments")
	_ = flags.Parse(arguments)
	return true, fault.LosePower(fault.PowerOptions{Binary: *server, Rounds: *rounds, Seed: *seed,
		Print: printWithTime})
}

func printWithTime(format string, arguments ...any) {
	fmt.Printf(time.Now().Format("15:04:05 ")+format+"\n", arguments...)
}

// Only the first set of flags, the one that is the product's, must hold.
func countElections(server string, variants []string, minutes float64) (bool, error) {
	good := true
	for i, variant := range variants {
		rose, err := fault.CountNeedlessElections(server, strings.Fields(variant),
			time.Duration(minutes*float64(time.Minute)))
		if err != nil {
			return false, err
		}
		again, err := fault.CountElectionsAfterPauses(server, strings.Fields(variant), 10,
			3*time.Second)
		if err != nil {
			return false, err
		}
		good = good && (i > 0 || rose+again == 0)
	}
	return good, nil
}
