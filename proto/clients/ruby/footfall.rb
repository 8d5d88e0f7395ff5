# frozen_string_literal: true

# footfall.rb -- reports events to a Footfall agent. One file, the standard library alone, Ruby 2.7 or
# later.
#
#     require_relative "footfall"
#     VIEWS = Footfall::Client.new("127.0.0.1:8125")
#     VIEWS.event(type: "video", id: video.uuid, eid: event_id, ip: request.ip, ua: request.user_agent)
#
# Nothing here blocks or raises: an event that cannot be handed to the kernel at once is counted in
# `failed`, and `error` says why the last one was. A client may be shared by threads, and notices fork.

require "securerandom"
require "socket"

module Footfall
  DATAGRAM_MAX = 8192
  REMOTE_MAX = 1400 # fits an Ethernet frame: a lost fragment would lose the whole datagram
  EVENTS_MAX = 64

  # A new event id, as text: for data-event-id in a page and eid here.
  def self.event_id
    SecureRandom.uuid
  end

  # BLAKE2b (RFC 7693) with a key of 32 bytes and a digest of 16, for messages that are not empty.
  module Blake2b
    MASK = 0xffffffffffffffff
    IV = [
      0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
      0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179
    ].freeze
    SIGMA = [
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
      [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
      [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
      [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
      [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
      [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
      [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
      [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
      [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
      [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0]
    ].freeze
    LANES = [
      [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
      [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]
    ].freeze

    def self.tag(key, message)
      h = IV.dup
      h[0] ^= 0x01010000 ^ 32 << 8 ^ 16
      blocks = key.ljust(128, "\0") + message
      last = (blocks.bytesize - 1) / 128 * 128
      0.step(last - 1, 128) { |at| compress(h, blocks.byteslice(at, 128), at + 128, 0) }
      compress(h, blocks.byteslice(last, 128).ljust(128, "\0"), blocks.bytesize, MASK)
      h.first(2).pack("Q<2")
    end

    def self.compress(h, block, total, last)
      m = block.unpack("Q<16")
      v = h + IV
      v[12] ^= total
      v[14] ^= last
      12.times do |round|
        s = SIGMA[round % 10]
        LANES.each_with_index { |lane, i| mix(v, *lane, m[s[2 * i]], m[s[2 * i + 1]]) }
      end
      8.times { |i| h[i] ^= v[i] ^ v[i + 8] }
    end

    def self.mix(v, a, b, c, d, x, y)
      v[a] = v[a] + v[b] + x & MASK
      v[d] = rotate(v[d] ^ v[a], 32)
      v[c] = v[c] + v[d] & MASK
      v[b] = rotate(v[b] ^ v[c], 24)
      v[a] = v[a] + v[b] + y & MASK
      v[d] = rotate(v[d] ^ v[a], 16)
      v[c] = v[c] + v[d] & MASK
      v[b] = rotate(v[b] ^ v[c], 63)
    end

    def self.rotate(value, n)
      (value >> n | value << 64 - n) & MASK
    end
    private_class_method :compress, :mix, :rotate
  end

  # The forms of proto/README.md.
  module Wire
    FIELDS = %i[type id eid ev val site ts ip ua ref sess].freeze
    UUID = /\A\h{8}-\h{4}-\h{4}-\h{4}-\h{12}\z/.freeze
    KEY_LINE = /^[ \t]*([A-Za-z0-9_.-]{1,64})[ \t]+(\h{64})[ \t\r]*$/.freeze

    def self.text(value)
      bytes = value.to_s.b
      n = bytes.bytesize
      return [0xa0 | n].pack("C") + bytes if n < 32

      raise ArgumentError, "too long" if n > 65_535

      (n < 256 ? [0xd9, n].pack("CC") : [0xda, n].pack("Cn")) + bytes
    end

    # UUIDs as 16 bytes; as ids only those of RFC 9562, which no slug can look like.
    def self.uuid(value, every)
      value = value.to_s
      return "\xc4\x10".b + value if value.encoding == Encoding::BINARY && value.bytesize == 16
      return text(value) unless value.valid_encoding? && UUID.match?(value)

      bytes = [value.delete("-")].pack("H*")
      every || bytes.getbyte(8) & 0xc0 == 0x80 ? "\xc4\x10".b + bytes : text(value)
    end

    def self.field(key, value)
      case key
      when :id then uuid(value, false)
      when :eid then uuid(value, true)
      when :val then [0xcb, Float(value)].pack("CG")
      when :ts then [0xcf, Integer(value)].pack("CQ>")
      else text(value)
      end
    end

    # An event's keys (symbols or strings) as a msgpack map; those that are nil or unknown are left out.
    def self.encode(event)
      given = FIELDS.map { |key| [key, event.fetch(key) { event[key.to_s] }] }
                    .reject { |_, value| value.nil? }
      raise ArgumentError, "no type or id" unless given.first(2).map(&:first) == %i[type id]

      [0x80 | given.size].pack("C") + given.map { |key, value| text(key) + field(key, value) }.join
    end

    # The datagram of these maps: a single one goes as it is.
    def self.array(maps)
      n = maps.size
      head = n < 16 ? [0x90 | n].pack("C") : [0xdc, n].pack("Cn")
      n == 1 ? maps[0] : head + maps.join
    end

    # The envelope around a datagram; boot is a number of 64 bits.
    def self.seal(name, key, boot, seq, time_ms, payload)
      body = "FFSD\x01".b + [boot, seq, time_ms, name.bytesize].pack("Q<Q<Q<C") + name.b + payload
      body + Blake2b.tag(key, body)
    end

    # [name, key] of a line "NAME KEY", or of the first such line of the file that is named.
    def self.read_key(key)
      found = KEY_LINE.match(key) || KEY_LINE.match(File.read(key))
      raise ArgumentError, "the file holds no key" unless found

      [found[1], [found[2]].pack("H*")]
    end
  end

  # Sends to the agent at address, "host:port" or "[address]:port"; a host's name is looked up here
  # and now. key: a file with a line "NAME KEY", or such a line itself; without one, datagrams are not
  # signed, and the agent takes them from loopback only.
  class Client
    attr_reader :sent   # events handed to the kernel
    attr_reader :failed # events that were not, or that nobody received on this host
    attr_reader :error  # why the last one failed

    def initialize(address = "127.0.0.1:8125", key: nil)
      @sent = @failed = @last = @seq = @boot = 0
      @max = REMOTE_MAX
      @lock = Mutex.new
      @key = key && Wire.read_key(key.to_s)
      connect(address)
    rescue StandardError => e # whatever was given as address or key
      @error = e.message
    end

    # Sends one event, with the keys of a datagram (proto/README.md). Whether it was sent.
    def event(event)
      batch([event]).zero?
    end

    # Sends events (hashes) in as few datagrams as hold them. How many were not sent.
    def batch(events)
      @lock.synchronize do
        before = @failed
        maps = []
        size = 3
        events.each do |event|
          packed = encode(event) or next
          if !maps.empty? && (maps.size == EVENTS_MAX || size + packed.bytesize > room)
            transmit(maps)
            maps = []
            size = 3
          end
          maps << packed
          size += packed.bytesize
        end
        transmit(maps) unless maps.empty?
        @failed - before
      end
    end

    def close
      @lock.synchronize do
        @socket&.close
        @socket = nil
        @error = "closed"
      end
    end

    private

    def connect(address)
      host, _, port = address.rpartition(":")
      to = Addrinfo.getaddrinfo(host.delete("[]"), Integer(port), nil, :DGRAM).first
      @max = DATAGRAM_MAX if to.ipv4_loopback? || to.ipv6_loopback?
      @socket = UDPSocket.new(to.afamily)
      @socket.connect(to.ip_address, to.ip_port)
    end

    def fail_with(events, why)
      @failed += events
      @error = why
      nil
    end

    def room
      @max - (@key ? 30 + @key[0].bytesize + 16 : 0)
    end

    def encode(event)
      packed = Wire.encode(event)
      packed.bytesize > room ? fail_with(1, "larger than a datagram may be") : packed
    rescue StandardError => e # whatever a caller's value does when it is made text
      fail_with(1, e.message)
    end

    # A child of fork would use its parent's sequence numbers again.
    def be_a_sender
      return if @pid == Process.pid

      @pid = Process.pid
      @boot = SecureRandom.bytes(8).unpack1("Q<")
      @seq = @last = 0
    end

    def transmit(maps)
      return fail_with(maps.size, @error) unless @socket

      be_a_sender
      payload = Wire.array(maps)
      payload = Wire.seal(*@key, @boot, @seq += 1, (Time.now.to_r * 1000).to_i, payload) if @key
      hand_over(payload)
      @sent += maps.size
      @last = maps.size
    rescue SystemCallError, IO::WaitWritable => e
      fail_with(maps.size, e.message)
    end

    def hand_over(datagram)
      @socket.sendmsg_nonblock(datagram)
    rescue Errno::ECONNREFUSED
      # that is about an earlier datagram: nobody received it; this one was not sent yet
      @sent -= @last
      fail_with(@last, "nobody listens there")
      @last = 0
      @socket.sendmsg_nonblock(datagram)
    end
  end
end
