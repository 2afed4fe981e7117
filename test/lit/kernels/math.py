# math.py exp -10 10: the greatest relative error of a function of f32 at 20000 points, against f64, as a module for %math.
import sys

name, low, high = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
steps = 20000
print(f"""
func.func @main() -> f32 {{
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %steps = arith.constant {steps} : index
  %low = arith.constant {low:.9e} : f32
  %width = arith.constant {(high - low) / steps:.9e} : f32
  %start = arith.constant 0.0 : f32
  %tiny = arith.constant 1.0e-30 : f64
  %worst = scf.for %i = %zero to %steps step %one iter_args(%now = %start) -> f32 {{
    %n = arith.index_cast %i : index to i32
    %f = arith.sitofp %n : i32 to f32
    %t = arith.mulf %f, %width : f32
    %x = arith.addf %t, %low : f32
    %y = math.{name} %x : f32
    %xd = arith.extf %x : f32 to f64
    %yd = arith.extf %y : f32 to f64
    %exact = math.{name} %xd : f64
    %d = arith.subf %yd, %exact : f64
    %abs = math.absf %d : f64
    %size = math.absf %exact : f64
    %floor = arith.addf %size, %tiny : f64
    %relative = arith.divf %abs, %floor : f64
    %error = arith.truncf %relative : f64 to f32
    %next = arith.maximumf %now, %error : f32
    scf.yield %next : f32
  }}
  return %worst : f32
}}""")
