package http2

import "encoding/binary"

// SettingID names a setting (RFC 9113 §6.5.2).
type SettingID uint16

// The settings.
const (
	HeaderTableSize      SettingID = 0x1
	EnablePush           SettingID = 0x2
	MaxConcurrentStreams SettingID = 0x3
	InitialWindowSize    SettingID = 0x4
	MaxFrameSize         SettingID = 0x5
	MaxHeaderListSize    SettingID = 0x6
	EnableConnect        SettingID = 0x8 // RFC 8441 §3
	NoPriorities         SettingID = 0x9 // RFC 9218 §2.1
)

// Setting is one that is told to the peer.
type Setting struct {
	ID    SettingID
	Value uint32
}

const settingLen = 6

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, list ...Setting) []byte {
	dst = AppendFrameHead(dst, settingLen*len(list), SettingsFrame, 0, 0)
	for _, s := range list {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the answer to one.
func AppendSettingsAck(dst []byte) []byte {
	return AppendFrameHead(dst, 0, SettingsFrame, FlagAck, 0)
}

// Settings are what a peer has told.
type Settings struct {
	MaxStreams    uint32 // that it takes at once
	Window        int32  // that each of its streams begins with
	MaxFrame      int
	MaxHeaderList uint32
	Push          bool
	Connect       bool // it takes extended CONNECT
}

// DefaultSettings are in force until a peer has told others.
func DefaultSettings() Settings {
	return Settings{MaxStreams: 1<<32 - 1, Window: FirstWindow, MaxFrame: MaxFrame, MaxHeaderList: 1<<32 - 1, Push: true}
}

// Apply takes over what a SETTINGS frame, which is no answer, says. Its error is a
// *ConnError.
func (s *Settings) Apply(f *Frame) error {
	if len(f.Payload)%settingLen != 0 {
		return frameSize("SETTINGS is not a multiple of 6 bytes")
	}
	for p := f.Payload; len(p) > 0; p = p[settingLen:] {
		if err := s.apply(SettingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) apply(id SettingID, value uint32) error {
	switch id {
	case EnablePush:
		if value > 1 {
			return connError(ProtocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")
		}
		s.Push = value == 1
	case MaxConcurrentStreams:
		s.MaxStreams = value
	case InitialWindowSize:
		if value > MaxWindow {
			return connError(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1")
		}
		s.Window = int32(value)
	case MaxFrameSize:
		if value < MaxFrame || value > 1<<24-1 {
			return connError(ProtocolError, "SETTINGS_MAX_FRAME_SIZE is not within 2^14 to 2^24-1")
		}
		s.MaxFrame = int(value)
	case MaxHeaderListSize:
		s.MaxHeaderList = value
	case EnableConnect:
		if value > 1 {
			return connError(ProtocolError, "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1")
		}
		s.Connect = value == 1
	case NoPriorities:
		if value > 1 {
			return connError(ProtocolError, "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1")
		}
	}
	return nil // others are to be ignored (§6.5.2), and nothing is put into the peer's table
}
