# drive.rb -- proto/clients/ruby for the tests; see drive.py.
require "json"
require_relative "../../proto/clients/ruby/footfall"

KEYS = { "event_id" => :eid, "name" => :ev, "value" => :val, "ts_ms" => :ts, "session" => :sess,
         "uuid" => :id, "slug" => :id }.freeze

def event_of(meaning)
  event = meaning.to_h { |key, value| [KEYS[key] || key.to_sym, value] }
  event[:ref] = "http://#{meaning['referrer']}" if meaning["referrer"]
  event
end

def bytes(hex)
  [hex.gsub(/\s/, "")].pack("H*")
end

def made(vector)
  case vector["format"]
  when "datagram" then Footfall::Wire.encode(event_of(vector["event"]))
  when "envelope"
    Footfall::Wire.seal(vector["key_name"], bytes(vector["key"]), vector["boot"].hex, vector["seq"],
                        vector["time_ms"], bytes(vector["payload"]))
  end
end

def golden(folder)
  done = Dir["#{folder}/*.json"].sort.map do |path|
    it = made(JSON.parse(File.read(path))) or next
    raise path unless it == bytes(File.read(path.sub(/json\z/, "hex")))

    path
  end
  puts "ok #{done.compact.size}"
end

def send_all(address, key, event_id)
  views = Footfall::Client.new(address, key: key == "-" ? nil : key)
  views.event(type: "video", id: Footfall.event_id, eid: event_id, ev: "play", val: 2.5, site: "shop",
              ip: "192.0.2.1", ua: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
              ref: "https://a.example/b?c", sess: "s-é")
  views.batch(Array.new(100) { { "type" => "pdf", "id" => Footfall.event_id } })
  views.event(id: "no type")
  puts "sent #{views.sent} failed #{views.failed}"
  Process.wait(fork { views.event(type: "static", id: Footfall.event_id) })
end

def twin(address, event_id, content)
  Footfall::Client.new(address).event(type: "video", id: content, eid: event_id)
end

command, *arguments = ARGV
send(command == "send" ? :send_all : command, *arguments)
