package socket_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// TestPipesAreBounded checks how many pipes there are, and when they are closed.
func TestPipesAreBounded(t *testing.T) {
	s := socket.NewSweeper()
	from, source := pair(t, s)
	if _, err := source.Write(make([]byte, socket.MaxPipes+2)); err != nil {
		t.Fatal(err)
	}
	var pipes []*socket.Pipe
	for range socket.MaxPipes {
		pipe, err := from.ReadPipe(1)
		if err != nil {
			t.Fatal(err)
		}
		pipes = append(pipes, pipe)
	}
	if pipe, err := from.ReadPipe(1); pipe != nil || err != socket.ErrNoSplice {
		t.Errorf("one more than %d: %v, %v", socket.MaxPipes, pipe, err)
	}
	to, _ := pair(t, s)
	pipes[0].Discard()
	for _, pipe := range pipes[1:] {
		if _, err := to.WritePipe(pipe); err != nil {
			t.Fatal(err)
		}
	}
	if idle, open := s.Pipes(); idle != socket.MaxPipes-1 || open != idle {
		t.Errorf("%d idle pipes, %d open, want %d", idle, open, socket.MaxPipes-1)
	}
	s.SweepPipes(socket.Nanotime())
	if idle, _ := s.Pipes(); idle != socket.MaxPipes-1 {
		t.Errorf("%d idle pipes, want %d: none is old", idle, socket.MaxPipes-1)
	}
	s.SweepPipes(socket.Nanotime() + socket.PipeIdle)
	if idle, open := s.Pipes(); idle != 0 || open != 0 {
		t.Errorf("%d idle pipes, %d open, want none", idle, open)
	}
	last, err := from.ReadPipe(1)
	if err != nil {
		t.Fatal(err)
	}
	s.EndPipes()
	if _, err := to.WritePipe(last); err != nil {
		t.Fatal(err)
	}
	if idle, open := s.Pipes(); idle != 0 || open != 0 {
		t.Errorf("at the end: %d idle pipes, %d open, want none", idle, open)
	}
}
