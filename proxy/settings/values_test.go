package settings_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

func TestDuration(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		out  string // "" where the text is refused
	}{
		{"5s", 5 * time.Second, "5s"},
		{"250ms", 250 * time.Millisecond, "250ms"},
		{"1m30s", 90 * time.Second, "1m30s"},
		{"60", time.Minute, "1m"},
		{"7200", 2 * time.Hour, "2h"},
		{"1h0m1s", time.Hour + time.Second, "1h0m1s"},
		{"0.25", 250 * time.Millisecond, "250ms"},
		{".5", 500 * time.Millisecond, "500ms"},
		{"0", 0, "0s"},
		{"10m", 10 * time.Minute, "10m"},
		{"1e3", 1000 * time.Second, "16m40s"},
		{"9000000000", 9e9 * time.Second, "2500000h"},
		{"9300000000", 0, ""},
		{"-1", 0, ""},
		{"-1s", 0, ""},
		{"", 0, ""},
		{"5 s", 0, ""},
		{"inf", 0, ""},
		{"NaN", 0, ""},
		{"0x10", 0, ""},
		{"1d", 0, ""},
	}
	for _, test := range tests {
		d := settings.Duration(42)
		err := d.UnmarshalText([]byte(test.text))
		if test.out == "" {
			if err == nil || d != 42 {
				t.Errorf("%q: got %v, %v, want an error and no change", test.text, d, err)
			}
			continue
		}
		if err != nil || d.Std() != test.want || d.String() != test.out {
			t.Errorf("%q: got %v (%v), want %v", test.text, d, err, test.out)
		}
		var again settings.Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%q doesn't read back: %v, %v", d, again, err)
		}
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want int64
		out  string // "" where the text is refused
	}{
		{"10MiB", 10 << 20, "10MiB"},
		{"64kib", 65536, "64KiB"},
		{"1 GiB", 1 << 30, "1GiB"},
		{"1MB", 1e6, "1000000B"},
		{"512B", 512, "512B"},
		{"1024", 1024, "1KiB"},
		{"1.5KiB", 1536, "1536B"},
		{"0", 0, "0B"},
		{"2TiB", 2 << 40, "2TiB"},
		{"9223372036854775807", 9223372036854775807, "9223372036854775807B"},
		{"9223372036854775808", 0, ""},
		{"8388608TiB", 0, ""},
		{"1e30", 0, ""},
		{"0.5B", 0, ""},
		{"-1", 0, ""},
		{"-1MiB", 0, ""},
		{"10M", 0, ""},
		{"MiB", 0, ""},
		{"", 0, ""},
		{"ten", 0, ""},
		{"1 0", 0, ""},
	}
	for _, test := range tests {
		s := settings.Size(42)
		err := s.UnmarshalText([]byte(test.text))
		if test.out == "" {
			if err == nil || s != 42 {
				t.Errorf("%q: got %v, %v, want an error and no change", test.text, s, err)
			}
			continue
		}
		if err != nil || s.Int64() != test.want || s.String() != test.out {
			t.Errorf("%q: got %v (%v), want %v", test.text, s, err, test.out)
		}
		var again settings.Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%q doesn't read back: %v, %v", s, again, err)
		}
	}
}

func TestEffective(t *testing.T) {
	c := defaults()
	c.Token, c.Pin, c.Redis = "hunter2", 1234, "redis://app:pa/s@s@db:6379/0"
	c.Secrets = map[string]string{"a": "b", "c": ""}
	c.Tenants = []tenant{{Name: "t", Match: "X"}}
	c.Pools = map[string]*pool{"p": {Size: 1}}
	got, err := json.Marshal(settings.Effective(&c))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"address":"127.0.0.1","level":"info","levels":{"lua":"error"},"limits":{"body":"10MiB","tries":2,"wait":"5s"},` +
		`"pin":"***","pools":{"p":{"size":1}},"port":8080,"ratio":0,"redis":"redis://app:***@db:6379/0",` +
		`"secrets":{"a":"***","c":""},"tenants":[{"domains":[],"match":"X","name":"t","scripts":[],"weight":0}],"tls":null,"token":"***","verbose":false}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEffectiveMasksPasswords(t *testing.T) {
	tests := []struct{ url, want string }{
		{"", ""},
		{"redis://db:6379", "redis://db:6379"},
		{"redis://:secret@db:6379", "redis://:***@db:6379"},
		{"app:secret@db", "app:***@db"},
		{"https://app@db/x", "https://app@db/x"},
		{"://a:b@c", "://a:***@c"},
	}
	for _, test := range tests {
		table := settings.Effective(gateway{Redis: test.url}).(map[string]any)
		if got := table["redis"]; got != test.want {
			t.Errorf("%q: got %q, want %q", test.url, got, test.want)
		}
	}
}
