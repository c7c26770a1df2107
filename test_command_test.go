package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTestCommand is about the command "test": its arguments and its status.
func TestTestCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"scripts/sub/good.lua":      "chi_route('GET', '/', function(request, response) response:write('x') end)",
		"scripts/sub/good_test.lua": "test('good', function() expect(request('GET', '/').body):equals('x') end)",
		"other/bad_test.lua":        "test('bad', function() fail() end)\ntest('fine', function() end)",
		"empty/readme.txt":          "",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		arguments string
		want      error
	}{
		{"", nil},
		{"scripts", nil},
		{"scripts/sub", nil},
		{"-v scripts/sub/good_test.lua", nil},
		{"-cover -cover-out cover.info -junit junit.xml -timeout 5s -run good", nil},
		{"-scripts . scripts other/bad_test.lua", errReported},
		{"other", errReported},
		{"-run fine other", nil},
		{"-run nothing other", statusUsage},
		{"-run ( other", statusUsage},
		{"empty", statusUsage},
		{"none", statusUsage},
		{"-nonsense", statusUsage},
		{"scripts other", statusUsage}, // other is not below scripts
		{"-junit none/junit.xml", os.ErrNotExist},
	} {
		if err := runTest(strings.Fields(c.arguments)); !errors.Is(err, c.want) {
			t.Errorf("test %s: error %v, want %v", c.arguments, err, c.want)
		}
	}
	for name, want := range map[string]string{
		"cover.info": "SF:scripts/sub/good.lua\nDA:1,2\n",
		"junit.xml":  `<testcase classname="sub/good_test.lua" name="good"`,
	} {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v %q, want %q in it", name, err, text, want)
		}
	}
}
