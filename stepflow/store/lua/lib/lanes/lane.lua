-- The lane that a record names, and where it is; nil for none.
local function lane_in(ns, queue, name)
  return name and name ~= '' and {ns = ns, queue = queue, name = name} or nil
end
