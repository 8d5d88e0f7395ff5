# msgpack_library.rb -- ruby-msgpack; see msgpack_library.py.
require "msgpack"
require "securerandom"

UA = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

def event
  { "type" => "video", "id" => SecureRandom.bytes(16), "eid" => SecureRandom.uuid,
    "ts" => (Time.now.to_f * 1000).floor.to_f, "val" => 3, "ip" => "192.0.2.1", "ua" => UA, "ref" => nil,
    "unknown" => { "a" => [1, -2, true] } }
end

{
  "map" => event,
  "array" => [event, event],
  "symbols" => event.transform_keys(&:to_sym),
  "keys-as-bin" => event.transform_keys(&:b),
  "integer-time" => event.merge("ts" => (Time.now.to_f * 1000).to_i)
}.each { |name, value| puts "#{name} #{value.to_msgpack.unpack1('H*')}" }
