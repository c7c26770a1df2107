package logs_test

import (
	"bufio"
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
)

// TestConsole: what clients and scripts choose of a line looks like no line of
// its own, and steers no terminal.
func TestConsole(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	c := &logs.Config{Level: "info", Format: "console"}
	output := logs.NewWriter(c, writer)
	log := logs.New(c, output)
	const evil = "a\n12:00:00 ERR fake\x1b[2J\r\u009b2J\u202eb\u2028\x7f"
	log.Info().Str("value", evil).Str(evil, "name").Err(os.ErrNotExist).Msg(evil)
	log.Info().Msg("plain\ttext, schön")
	_, _ = output.Write([]byte(`{"time":"2026-11-22T23:06:26.012Z","request_id":"fd95","tenant":"shop","target":"shop-2","method":"GET","host":"shop.example.com",` +
		`"path":"/a\u001b[2J\n12:00:00 ERR fake","status":503,"duration_ms":1.234,"attempts":2,"error":"no_healthy_target","cause":"b\u009bc"}` + "\n"))
	output.Close()
	_ = writer.Close()
	var lines []string
	for scanner := bufio.NewScanner(reader); scanner.Scan(); {
		lines = append(lines, scanner.Text()) // without colours, since this is no terminal
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3: %q", len(lines), lines)
	}
	if strings.Contains(lines[2], "\x1b") {
		t.Errorf("colours where there is no terminal: %q", lines[2])
	}
	if want := `GET shop.example.com/a\x1b[2J\n12:00:00 ERR fake 503 1.2ms → shop-2 (2 attempts) no_healthy_target: b\u009bc fd95`; !strings.HasSuffix(lines[2], want) {
		t.Errorf("got  %q\nwant %q", lines[2], want)
	}
	if strings.ContainsAny(lines[0], "\x1b\r\u009b\u202e\u2028\x7f") || !strings.Contains(lines[0], `a\n12:00:00 ERR fake\x1b[2J`) {
		t.Errorf("got %q", lines[0])
	}
	if !strings.Contains(lines[1], "plain\ttext, schön") {
		t.Errorf("got %q", lines[1])
	}
}

// TestLogWriterNeverWaits: an output that takes nothing costs lines; once it
// takes some again, they are whole, in order, and one says how many are missing.
func TestLogWriterNeverWaits(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	output := logs.NewWriter(&logs.Config{Level: "info", Format: "json"}, writer)
	line := append(bytes.Repeat([]byte("x"), 9_999), '\n')
	for n := 0; output.Dropped() == 0; n++ {
		if n > 10_000 {
			t.Fatal("nothing is dropped")
		}
		_, _ = output.Write(line) // would block the test if it waited
	}
	scanner := bufio.NewScanner(reader)
	whole := 0
	for scanner.Scan() {
		if text := scanner.Text(); strings.Contains(text, "lines of the log were dropped") {
			break
		} else if text+"\n" != string(line) {
			t.Fatalf("a torn line: %.50q", text)
		}
		whole++
	}
	if whole < 400 { // 4 MB
		t.Errorf("%d lines arrived, want what the buffer holds", whole)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for range 1000 {
			_, _ = output.Write(line) // nobody reads any more
		}
		output.Close()
	}()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("Close waits for an output that takes nothing")
	}
}
