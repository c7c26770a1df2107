package vm_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestProgramSize demands that what a program is said to take is what it takes.
func TestProgramSize(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	for _, unit := range []string{
		"f()\n", "f#()\n", "x=1^1\n", "f=function() end\n", "do local a=1 end\n", "t={1,2,3}\n", "x='ab#'\n", "t.a.b.c=1\n",
		"x='a'..'b'..y\n", "x=1#\n", "g#=h#\n", "x=1 ", "f=function() return f(a,b,x) end\n", "t.a#.b#:c(1)\n",
	} {
		var b strings.Builder
		for i := 0; b.Len() < 300_000; i++ {
			b.WriteString(strings.ReplaceAll(unit, "#", fmt.Sprint(i)))
		}
		source := []byte(b.String())
		before := measure.Heap()
		p, err := vm.Compile(source, "a.lua", vm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		took := measure.Heap() - before
		if said := p.Size(); said < took*3/4 || said > took*7/4+500_000 {
			t.Errorf("%q: %d bytes, said to be %d", unit, took, said)
		}
		runtime.KeepAlive(source)
	}
}
