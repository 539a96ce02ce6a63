// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"datum.dev/tests/launcher"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// shutStarer makes calls whose answers have no way out: its windows are of size 0, which no gRPC
// client can be made to do.
type shutStarer struct {
	t          *testing.T
	connection net.Conn
	framer     *http2.Framer
	headers    bytes.Buffer
	encoder    *hpack.Encoder
	last       uint32

	mutex   sync.Mutex
	changed *sync.Cond
	room    int            // what the server will take
	asked   int            // calls
	ended   map[string]int // calls that have ended, by grpc-status
	gone    bool
}

func newShutStarer(t *testing.T, member *launcher.Member) *shutStarer {
	t.Helper()
	connection, err := net.Dial("tcp", member.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	s := &shutStarer{t: t, connection: connection, framer: http2.NewFramer(connection, connection),
		room: 65535, ended: map[string]int{}}
	s.changed = sync.NewCond(&s.mutex)
	s.encoder = hpack.NewEncoder(&s.headers)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	go s.listen()
	return s
}

// ask begins one unary call.
func (s *shutStarer) ask(method string, request proto.Message) {
	s.t.Helper()
	body, err := proto.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for s.room < len(body) && !s.gone {
		s.changed.Wait()
	}
	s.room -= len(body)
	s.asked++
	s.headers.Reset()
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method},
		{":authority", "datum"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = s.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	s.last += 2
	call := s.last - 1
	err = s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: call, BlockFragment: s.headers.Bytes(), EndHeaders: true})
	if err == nil {
		err = s.framer.WriteData(call, true, body)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shutStarer) listen() {
	for {
		frame, err := s.framer.ReadFrame()
		s.mutex.Lock()
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = s.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = s.framer.WritePing(true, frame.Data)
			}
		case *http2.WindowUpdateFrame:
			if frame.StreamID == 0 {
				s.room += int(frame.Increment)
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamEnded() {
				end := "none"
				for _, field := range frame.RegularFields() {
					if field.Name == "grpc-status" {
						end = field.Value
					}
				}
				s.ended[end]++
			}
		}
		s.gone = err != nil
		s.changed.Broadcast()
		s.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// lying is how many calls have not ended.
func (s *shutStarer) lying() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	ended := 0
	for _, calls := range s.ended {
		ended += calls
	}
	return s.asked - ended
}

func (s *shutStarer) ends() map[string]int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	copied := map[string]int{}
	for status, calls := range s.ended {
		copied[status] = calls
	}
	return copied
}
