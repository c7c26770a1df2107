package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runBinary runs the gateway with arguments until it ends.
func runBinary(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.Command(gatewayBinary(t), arguments...) // #nosec G204 -- the binary that this test built
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", simpleConfig("127.0.0.1:1"))
	bad := file("bad.yaml", "tenats: []\nserver: {adress: x}\n")
	schema, err := os.ReadFile("../config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		arguments      []string
		code           int
		stdout, stderr []string
	}{
		{[]string{"check", "-config", good}, 0, []string{"good.yaml is fine: 1 tenant, 1 target"}, nil},
		{[]string{"check", "--config", "../config.yaml"}, 0, []string{"is fine: 6 tenants, 8 targets"}, nil},
		{[]string{"check", "-config", bad}, 1, nil, []string{bad + ":1:1: ", `did you mean "tenants"`, bad + ":2:10: ", `did you mean "address"`}},
		{[]string{"check", "-config", bad + "x"}, 1, nil, []string{"no such file"}},
		{[]string{"-config", bad}, 1, nil, []string{bad + ":1:1: "}},
		{[]string{"schema"}, 0, []string{string(schema)}, nil},
		{[]string{"--version"}, 0, []string{"keystone-gateway "}, nil},
		{[]string{"version"}, 0, []string{"keystone-gateway "}, nil},
		{[]string{"version", "-json"}, 0, []string{`"version":`}, nil},
		{[]string{"help"}, 0, []string{"usage:"}, nil},
		{[]string{"--help"}, 0, []string{"usage:"}, nil},
		{[]string{"bench", "-h"}, 0, []string{"-url URL"}, nil},
		{[]string{"dance"}, 1, nil, []string{`unknown command "dance"`}},
		{[]string{"validate"}, 1, nil, []string{`unknown command "validate": check reports`}},
		{[]string{"check", "extra"}, 1, nil, []string{`unexpected argument "extra"`}},
		{[]string{"run", "-nonsense"}, 1, nil, []string{"-nonsense; keystone-gateway run -h lists the flags"}},
	} {
		stdout, stderr, code := runBinary(t, c.arguments...)
		if code != c.code {
			t.Errorf("%q: exit code %d, want %d", c.arguments, code, c.code)
		}
		for _, want := range c.stdout {
			if !strings.Contains(stdout, want) {
				t.Errorf("%q printed %.300q, want %.100q", c.arguments, stdout, want)
			}
		}
		for _, want := range c.stderr {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q complained %.300q, want %.100q", c.arguments, stderr, want)
			}
		}
	}
}
