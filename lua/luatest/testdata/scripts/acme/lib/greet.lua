local greet = {}

function greet.text(name)
  if name == "" then
    return "hello, whoever you are"
  end
  return "hello, " .. name
end

return greet
