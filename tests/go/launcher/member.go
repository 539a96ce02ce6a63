// SPDX-License-Identifier: Apache-2.0

package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const readyLine = "ready to serve client requests"

// Member is one server process and its data directory. It outlives the process: after Kill9 or
// Stop, Restart runs a new one on the same directory and ports.
type Member struct {
	Name      string
	ClientURL string
	PeerURL   string
	Place     Place

	binary string
	flags  []string
	home   string

	mutex   sync.Mutex
	process *os.Process
	ended   chan struct{} // closed once the process is gone
	outcome *os.ProcessState
	// Where in the log the present process began: an older "ready" is not this one's.
	logStart int64
}

// DataDir is the member's --data-dir. It stays when the process ends.
func (m *Member) DataDir() string { return filepath.Join(m.Place.Directory, m.Name+".datum") }

// LogPath is the file with stdout and stderr of all processes this member has had.
func (m *Member) LogPath() string { return filepath.Join(m.home, m.Name+".log") }

// Log is what stands in LogPath.
func (m *Member) Log() string {
	text, err := os.ReadFile(m.LogPath())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// LogTail is the last lines of Log.
func (m *Member) LogTail(lines int) string {
	all := strings.Split(strings.TrimRight(m.Log(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Endpoint is host:port for clients.
func (m *Member) Endpoint() string { return strings.TrimPrefix(m.ClientURL, "http://") }

// Pid of the running process; 0 if there is none.
func (m *Member) Pid() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.process == nil {
		return 0
	}
	return m.process.Pid
}

// LogOfThisProcess is what the present process, or the last one, has written.
func (m *Member) LogOfThisProcess() string {
	m.mutex.Lock()
	start := m.logStart
	m.mutex.Unlock()
	return string(m.logFrom(start))
}

// WaitEnd waits until the process has ended by itself.
func (m *Member) WaitEnd(timeout time.Duration) error {
	m.mutex.Lock()
	ended := m.ended
	m.mutex.Unlock()
	if ended == nil {
		return fmt.Errorf("%s was never launched", m.Name)
	}
	select {
	case <-ended:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("%s still runs after %v", m.Name, timeout)
	}
}

// Wipe removes the data directory of a member that does not run.
func (m *Member) Wipe() error {
	if m.Running() {
		return fmt.Errorf("%s runs", m.Name)
	}
	return os.RemoveAll(m.DataDir())
}

// Running says whether the process is there (paused counts as there).
func (m *Member) Running() bool { return m.Pid() != 0 }

// Launch starts the process and returns at once; WaitReady waits for it.
func (m *Member) Launch(extraFlags ...string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.process != nil {
		return fmt.Errorf("%s already runs as pid %d", m.Name, m.process.Pid)
	}
	log, err := os.OpenFile(m.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	m.logStart, err = log.Seek(0, 2)
	if err != nil {
		return err
	}
	line := append(append([]string{}, m.Place.Prefix...), m.binary)
	line = append(append(line, m.flags...), extraFlags...)
	command := exec.Command(line[0], line[1:]...)
	command.Stdout = log
	command.Stderr = log
	command.Dir = m.home
	command.Env = append(environmentWithoutEtcd(), m.Place.Environment...)
	// No orphans: the kernel ends the server if this process dies, however it dies.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := startOnLastingThread(command); err != nil {
		return err
	}
	m.process = command.Process
	m.ended = make(chan struct{})
	ended := m.ended
	go func() {
		_ = command.Wait()
		m.mutex.Lock()
		m.process = nil
		m.outcome = command.ProcessState
		m.mutex.Unlock()
		close(ended)
	}()
	return nil
}

// WaitReady waits for the server's own word that it serves.
func (m *Member) WaitReady(timeout time.Duration) error {
	m.mutex.Lock()
	ended, start := m.ended, m.logStart
	m.mutex.Unlock()
	if ended == nil {
		return fmt.Errorf("%s was never launched", m.Name)
	}
	deadline := time.After(timeout)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if bytes.Contains(m.logFrom(start), []byte(readyLine)) {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended before it was ready:\n%s", m.Name, m.logFrom(start))
		case <-deadline:
			return fmt.Errorf("%s was not ready after %v:\n%s", m.Name, timeout, m.logFrom(start))
		case <-poll.C:
		}
	}
}

// Kill9 ends the process without warning and returns once it is gone.
func (m *Member) Kill9() error { return m.end(syscall.SIGKILL, 10*time.Second) }

// Stop asks the process to end (SIGTERM) and waits; an exit code other than 0 is an error.
func (m *Member) Stop() error {
	if err := m.end(syscall.SIGTERM, 30*time.Second); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.outcome != nil && !m.outcome.Success() && !endedBy(m.outcome, syscall.SIGTERM) {
		return fmt.Errorf("%s ended with %v", m.Name, m.outcome)
	}
	return nil
}

// etcd sends itself the signal again once it has shut down cleanly.
func endedBy(outcome *os.ProcessState, signal syscall.Signal) bool {
	status, ok := outcome.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

// Pause stops the process where it stands (SIGSTOP); Resume lets it go on.
func (m *Member) Pause() error { return m.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (m *Member) Resume() error { return m.signal(syscall.SIGCONT) }

// Restart runs a new process on the same directory and ports and waits until it serves.
// Kills the old one first if it still runs.
func (m *Member) Restart(extraFlags ...string) error {
	if m.Running() {
		if err := m.Kill9(); err != nil {
			return err
		}
	}
	if err := m.Launch(extraFlags...); err != nil {
		return err
	}
	return m.WaitReady(60 * time.Second)
}

func (m *Member) signal(signal syscall.Signal) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.process == nil {
		return fmt.Errorf("%s does not run", m.Name)
	}
	return m.process.Signal(signal)
}

func (m *Member) end(signal syscall.Signal, timeout time.Duration) error {
	m.mutex.Lock()
	ended := m.ended
	m.mutex.Unlock()
	if err := m.signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("%s is still there %v after signal %v", m.Name, timeout, signal)
	}
}

func (m *Member) logFrom(start int64) []byte {
	text, err := os.ReadFile(m.LogPath())
	if err != nil || int64(len(text)) < start {
		return nil
	}
	return text[start:]
}

// The servers take flags from ETCD_* too; a developer's shell must not reach them.
func environmentWithoutEtcd() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ETCD_") && !strings.HasPrefix(variable, "ETCDCTL_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

type startRequest struct {
	command *exec.Cmd
	result  chan error
}

var startRequests = sync.OnceValue(func() chan startRequest {
	requests := make(chan startRequest)
	go func() {
		// Pdeathsig fires when the starting THREAD ends, so one that never ends does the starts.
		runtime.LockOSThread()
		for request := range requests {
			request.result <- request.command.Start()
		}
	}()
	return requests
})

func startOnLastingThread(command *exec.Cmd) error {
	result := make(chan error)
	startRequests() <- startRequest{command, result}
	return <-result
}
