package sample

import "testing"

func TestFits(t *testing.T) {
	if !Fits(Limit) || Fits(Limit+1) {
		t.Error("the limit doesn't fit, or more does")
	}
}

func TestRoughly(t *testing.T) {
	if !Roughly(1) || Roughly(100) {
		t.Error("1 doesn't fit, or 100 do")
	}
}

func TestCount(t *testing.T) {
	if Count(3) != 3 {
		t.Error("3 aren't 3")
	}
}

func TestBoth(t *testing.T) {
	if !Both(true, true) || Both(false, true) {
		t.Error("not both, or one is enough")
	}
}
